import pytest

from functions.upload.event_stream import parse_last_event_id


@pytest.mark.parametrize(("text", "revision"), [("1", 1), ("118", 118), ("0" * 5 + "7", 7)])
def test_the_last_event_id_is_a_revision(text: str, revision: int) -> None:
    assert parse_last_event_id(text) == revision


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", " 1", "9" * 20, "²"])
def test_anything_else_counts_as_none(text: str) -> None:
    assert parse_last_event_id(text) == 0
