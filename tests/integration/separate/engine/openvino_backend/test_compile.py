"""A network's stages are compiled together, written, and read again."""

import locale
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest

from functions.separate.engine.htdemucs.network import ALL_F32, build_stages
from functions.separate.engine.htdemucs.weights import read_network_file
from functions.separate.engine.openvino_backend.compile import (
    compile_stages,
    read_compiled,
    write_compiled,
)
from microdemucs.models.architecture import read_architecture
from tests.integration.separate.engine.comparison import WEIGHTS


@pytest.fixture(scope="module")
def stages() -> tuple[openvino.Model, openvino.Model]:
    """The stages of the bundled network."""
    network = read_network_file(WEIGHTS)
    return build_stages(read_architecture(network), network.tensors, ALL_F32)


@pytest.fixture(scope="module")
def compiled(stages: tuple[openvino.Model, openvino.Model]) -> list[Any]:
    return compile_stages(stages)


def resident_kilobytes(folder: Path) -> int:
    """Return how much of the mapped files of this folder is in memory."""
    resident, is_in_folder = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0]:
            is_in_folder = len(words) > 5 and words[5].startswith(f"{folder}/")
        elif words[0] == "Rss:" and is_in_folder:
            resident += int(words[1])
    return resident


def test_a_stage_computes_the_same_after_it_was_written_and_read(
    compiled: list[Any], tmp_path: Path
) -> None:
    files = [tmp_path / f"{index}.blob" for index in range(2)]
    for stage, file in zip(compiled, files, strict=True):
        write_compiled(stage, file)
    random = np.random.default_rng(1)
    inputs = [random.standard_normal(list(port.shape), np.float32) for port in compiled[0].inputs]
    before, after = compiled[0](inputs), read_compiled(files)[0](inputs)
    for index in range(len(compiled[0].outputs)):
        assert np.array_equal(before[index], after[index])


def test_the_files_do_not_stay_in_memory(compiled: list[Any], tmp_path: Path) -> None:
    files = [tmp_path / f"{index}.blob" for index in range(2)]
    for stage, file in zip(compiled, files, strict=True):
        write_compiled(stage, file)
    stages = read_compiled(files)
    assert len(stages) == 2
    assert resident_kilobytes(tmp_path) == 0


def test_the_outputs_of_a_stage_are_the_inputs_of_the_next(compiled: list[Any]) -> None:
    encoding, decoding = compiled
    outputs = [(list(port.shape), port.element_type) for port in encoding.outputs]
    assert outputs == [(list(port.shape), port.element_type) for port in decoding.inputs]


def test_the_locale_stays(stages: tuple[openvino.Model, openvino.Model]) -> None:
    before = locale.setlocale(locale.LC_ALL)
    locale.setlocale(locale.LC_ALL, "C.UTF-8")
    try:
        for _ in range(3):
            compile_stages(stages)
            assert locale.setlocale(locale.LC_ALL) == "C.UTF-8"
    finally:
        locale.setlocale(locale.LC_ALL, before)


def test_a_broken_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "broken.blob"
    file.write_bytes(b"not a network")
    with pytest.raises(RuntimeError):
        read_compiled([file])
