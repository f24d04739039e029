"""What is compiled beforehand is what a function then loads, even from a folder it cannot write."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import openvino

from functions.separate.engine import exported
from functions.separate.engine.models import BUNDLED
from functions.separate.engine.places import ROOT


def precompile(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "functions.separate.engine.precompile", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def is_from_cache(folder: Path, cache: Path) -> bool:
    """Whether the model in `folder`, loaded with `cache`, was not compiled anew."""
    form = exported.find(folder)
    assert form
    found: list[bool] = []
    original = openvino.Core.compile_model

    def watched(self, *given):
        network = original(self, *given)
        found.append(network.get_property("LOADED_FROM_CACHE"))
        return network

    openvino.Core.compile_model = watched
    try:
        exported.load(folder.name, form, cache=cache)
    finally:
        openvino.Core.compile_model = original
    return all(found)


def test_it_is_loaded_and_not_compiled_again(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in (exported.NAME, "network-0.xml", "network-0.bin"):
        shutil.copy(ROOT / "models" / BUNDLED / name, folder)
    assert not is_from_cache(folder, tmp_path / "before")
    said = precompile(folder)
    assert said.returncode == 0, said.stderr
    [kept] = said.stdout.split()
    assert os.stat(kept).st_mode & 0o777 == 0o644
    before = os.stat(kept)
    assert is_from_cache(folder, tmp_path / "cache")
    [lent] = (tmp_path / "cache").iterdir()
    assert lent.readlink() == Path(kept)
    assert os.stat(kept).st_mtime_ns == before.st_mtime_ns


def test_what_was_compiled_elsewhere_is_compiled_again_and_stays(tmp_path):
    folder, cache = tmp_path / "mine", tmp_path / "cache"
    (folder / exported.COMPILED).mkdir(parents=True)
    for name in (exported.NAME, "network-0.xml", "network-0.bin"):
        shutil.copy(ROOT / "models" / BUNDLED / name, folder)
    other = folder / exported.COMPILED / "123.blob"
    other.write_bytes(b"for another processor")
    assert not is_from_cache(folder, cache)
    assert is_from_cache(folder, cache)
    assert other.read_bytes() == b"for another processor"


def test_a_folder_without_an_exported_model_is_refused_with_what_to_do(tmp_path):
    said = precompile(tmp_path)
    assert said.returncode == 1
    assert "make models" in said.stderr
