import pytest
from msgspec import UNSET, UnsetType

from functions.upload.preview import can_continue
from microdemucs.manifest import StemEntry


def stem(file: str, scale: float | UnsetType = UNSET) -> StemEntry:
    return StemEntry(name="drums", key=f"a.mp3/{file}", size=100, content_type="", scale=scale)


@pytest.mark.parametrize("file", ["drums.mp3", "drums.wav", "drums.flac"])
def test_a_preview_continues_in_the_finished_stem(file: str) -> None:
    assert can_continue(stem(file), 50)


@pytest.mark.parametrize(("file", "continues"), [("drums.mp3", True), ("drums.flac", False)])
def test_a_flac_stem_that_was_encoded_again_does_not_continue(file: str, continues: bool) -> None:
    assert can_continue(stem(file, scale=0.9), 50) == continues


def test_a_flac_stem_that_was_encoded_again_can_be_sent_from_its_beginning() -> None:
    assert can_continue(stem("drums.flac", scale=0.9), 0)


def test_a_preview_that_was_sent_completely_has_no_rest() -> None:
    assert not can_continue(stem("drums.mp3"), 100)
