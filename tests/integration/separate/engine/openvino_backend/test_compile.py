"""A network's stages are compiled together, and their files are not kept in memory."""

import locale
from pathlib import Path

import pytest

from functions.separate.engine.locate import BUNDLED
from functions.separate.engine.openvino_backend import exported_model
from functions.separate.engine.openvino_backend.compile import compile_stages
from functions.separate.engine.openvino_backend.engine import precisions
from microdemucs.paths import MODELS

PRECISIONS = precisions()


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """The stages of the bundled network."""
    exported = exported_model.find(MODELS / BUNDLED)
    assert exported
    return exported.files(exported.networks[0])


def resident_kilobytes(folder: Path) -> dict[str, int]:
    """Return how much of each mapped file of this folder is in memory."""
    resident: dict[str, int] = {}
    name = ""
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0]:
            name = words[5] if len(words) > 5 else ""
        elif words[0] == "Rss:" and name.startswith(f"{folder}/"):
            resident[name] = resident.get(name, 0) + int(words[1])
    return resident


@pytest.mark.parametrize("precision", PRECISIONS)
def test_compiled_stages_come_from_the_cache(
    files: list[Path], tmp_path: Path, precision: str
) -> None:
    compile_stages(files, precision, tmp_path, 1)
    stages = compile_stages(files, precision, tmp_path, 1)
    assert [stage.get_property("LOADED_FROM_CACHE") for stage in stages] == [True, True]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_cached_files_do_not_stay_in_memory(
    files: list[Path], tmp_path: Path, precision: str
) -> None:
    compile_stages(files, precision, tmp_path, 1)
    stages = compile_stages(files, precision, tmp_path, 1)
    resident = resident_kilobytes(tmp_path)
    assert len(resident) == len(stages) == 2
    assert set(resident.values()) == {0}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_outputs_of_a_stage_are_the_inputs_of_the_next(
    files: list[Path], precision: str
) -> None:
    encoding, decoding = compile_stages(files, precision, None, 1)
    inputs = [(list(port.shape), port.element_type) for port in decoding.inputs]
    assert [(list(port.shape), port.element_type) for port in encoding.outputs] == inputs
    assert {kind.get_type_name() for _, kind in inputs} == {precision}


def test_the_locale_stays(files: list[Path], tmp_path: Path) -> None:
    before = locale.setlocale(locale.LC_ALL)
    locale.setlocale(locale.LC_ALL, "C.UTF-8")
    try:
        for _ in range(3):
            compile_stages(files, PRECISIONS[-1], tmp_path, 1)
            assert locale.setlocale(locale.LC_ALL) == "C.UTF-8"
    finally:
        locale.setlocale(locale.LC_ALL, before)


def test_a_broken_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "broken.xml"
    file.write_text("not a network")
    with pytest.raises(RuntimeError):
        compile_stages([file], "f32", None, 1)
