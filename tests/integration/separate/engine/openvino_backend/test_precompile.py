"""What is compiled beforehand is what a function then loads, even from a folder it cannot write."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import openvino

from functions.separate.engine.openvino_backend import exported_model
from functions.separate.engine.registry import BUNDLED
from microdemucs.paths import ROOT


def precompile(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "functions.separate.engine.openvino_backend.precompile",
            str(folder),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def _copy(folder: Path) -> None:
    """The bundled model's exported form."""
    bundled = ROOT / "models" / BUNDLED
    for file in (bundled / exported_model.NAME, *bundled.glob("network-*")):
        shutil.copy(file, folder)


def is_from_cache(folder: Path, cache: Path) -> bool:
    """Whether the model in `folder`, loaded with `cache`, was not compiled anew."""
    form = exported_model.find(folder)
    assert form
    found: list[bool] = []
    original = openvino.Core.compile_model

    def watched(self, *given):
        network = original(self, *given)
        found.append(network.get_property("LOADED_FROM_CACHE"))
        return network

    openvino.Core.compile_model = watched
    try:
        exported_model.load(folder.name, form, cache=cache)
    finally:
        openvino.Core.compile_model = original
    return all(found)


def test_it_is_loaded_and_not_compiled_again(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    _copy(folder)
    assert not is_from_cache(folder, tmp_path / "before")
    said = precompile(folder)
    assert said.returncode == 0, said.stderr
    kept = {Path(line): os.stat(line) for line in said.stdout.split()}
    assert len(kept) == 2
    assert {found.st_mode & 0o777 for found in kept.values()} == {0o644}
    assert is_from_cache(folder, tmp_path / "cache")
    assert {lent.readlink() for lent in (tmp_path / "cache").iterdir()} == set(kept)
    assert all(file.stat().st_mtime_ns == before.st_mtime_ns for file, before in kept.items())


def test_what_was_compiled_elsewhere_is_compiled_again_and_stays(tmp_path):
    folder, cache = tmp_path / "mine", tmp_path / "cache"
    (folder / exported_model.COMPILED).mkdir(parents=True)
    _copy(folder)
    other = folder / exported_model.COMPILED / "123.blob"
    other.write_bytes(b"for another processor")
    assert not is_from_cache(folder, cache)
    assert is_from_cache(folder, cache)
    assert other.read_bytes() == b"for another processor"


def test_a_folder_without_an_exported_model_is_refused_with_what_to_do(tmp_path):
    said = precompile(tmp_path)
    assert said.returncode == 1
    assert "make models" in said.stderr
