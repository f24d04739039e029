"""A network's parts are read at once, and what was read for it is not held in memory."""

import locale
from pathlib import Path

import pytest

from functions.separate.engine.openvino_backend import exported_model
from functions.separate.engine.openvino_backend.compile import compiled
from functions.separate.engine.openvino_backend.engine import precisions
from functions.separate.engine.registry import BUNDLED
from microdemucs.paths import ROOT

FORM = exported_model.find(ROOT / "models" / BUNDLED)
PARTS = FORM.files(FORM.networks[0])
PRECISIONS = precisions()


def held(folder: Path) -> dict[str, int]:
    """kB in memory of the files of this folder that are mapped, by name."""
    found, name = {}, ""
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0]:
            name = words[5] if len(words) > 5 else ""
        elif words[0] == "Rss:" and name.startswith(f"{folder}/"):
            found[name] = found.get(name, 0) + int(words[1])
    return found


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_was_read_is_not_held(tmp_path, precision):
    compiled(PARTS, precision, tmp_path, 1)
    network = compiled(PARTS, precision, tmp_path, 1)
    assert [part.get_property("LOADED_FROM_CACHE") for part in network] == [True, True]
    blobs = held(tmp_path)
    assert len(blobs) == 2
    assert set(blobs.values()) == {0}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_parts_fit_each_other(precision):
    first, second = compiled(PARTS, precision, None, 1)
    wanted = [(list(port.shape), port.element_type) for port in second.inputs]
    assert [(list(port.shape), port.element_type) for port in first.outputs] == wanted
    assert {kind.get_type_name() for _, kind in wanted} == {precision}


def test_the_locale_stays(tmp_path):
    before = locale.setlocale(locale.LC_ALL)
    locale.setlocale(locale.LC_ALL, "C.UTF-8")
    try:
        for _ in range(3):
            compiled(PARTS, PRECISIONS[-1], tmp_path, 1)
            assert locale.setlocale(locale.LC_ALL) == "C.UTF-8"
    finally:
        locale.setlocale(locale.LC_ALL, before)
