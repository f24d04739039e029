"""A precompiled model is loaded, also from a folder that the function cannot write to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import openvino
import pytest

from functions.separate.engine.locate import BUNDLED
from functions.separate.engine.openvino_backend import exported_model
from microdemucs.paths import MODELS, ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the bundled exported model."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for file in (MODELS / BUNDLED / exported_model.NAME, *(MODELS / BUNDLED).glob("network-*")):
        shutil.copy(file, folder)
    return folder


def precompile(folder: Path) -> subprocess.CompletedProcess[str]:
    module = "functions.separate.engine.openvino_backend.precompile"
    return subprocess.run(
        [sys.executable, "-m", module, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def is_loaded_from_cache(folder: Path, cache: Path) -> bool:
    """Load the model in `folder`; return whether none of its stages was compiled."""
    exported = exported_model.find(folder)
    assert exported
    from_cache: list[bool] = []
    original = openvino.Core.compile_model

    def compile_model(self: Any, *arguments: Any) -> Any:
        stage = original(self, *arguments)
        from_cache.append(stage.get_property("LOADED_FROM_CACHE"))
        return stage

    openvino.Core.compile_model = compile_model
    try:
        exported_model.load(folder.name, exported, cache=cache)
    finally:
        openvino.Core.compile_model = original
    assert from_cache
    return all(from_cache)


def test_a_model_is_compiled_without_a_cache(folder: Path, tmp_path: Path) -> None:
    assert not is_loaded_from_cache(folder, tmp_path / "cache")


def test_it_prints_the_compiled_files_which_all_users_can_read(folder: Path) -> None:
    result = precompile(folder)
    assert result.returncode == 0, result.stderr
    files = [Path(line) for line in result.stdout.split()]
    assert sorted(files) == sorted((folder / exported_model.COMPILED).iterdir())
    assert len(files) == 2
    assert {file.stat().st_mode & 0o777 for file in files} == {0o644}


def test_a_precompiled_model_is_loaded_and_not_compiled_again(folder: Path, tmp_path: Path) -> None:
    result = precompile(folder)
    assert result.returncode == 0, result.stderr
    compiled = {Path(line): os.stat(line) for line in result.stdout.split()}
    cache = tmp_path / "cache"
    assert is_loaded_from_cache(folder, cache)
    assert {link.readlink() for link in cache.iterdir()} == set(compiled)
    assert all(file.stat().st_mtime_ns == before.st_mtime_ns for file, before in compiled.items())


def test_a_model_compiled_for_another_processor_is_compiled_again_and_stays(
    folder: Path, tmp_path: Path
) -> None:
    other = folder / exported_model.COMPILED / "123.blob"
    other.parent.mkdir()
    other.write_bytes(b"for another processor")
    assert not is_loaded_from_cache(folder, tmp_path / "cache")
    assert is_loaded_from_cache(folder, tmp_path / "cache")
    assert other.read_bytes() == b"for another processor"


def test_a_folder_without_an_exported_model_is_rejected_with_what_to_do(tmp_path: Path) -> None:
    result = precompile(tmp_path)
    assert result.returncode == 1
    assert f"`make models MODEL={tmp_path.name}` makes one" in result.stderr
