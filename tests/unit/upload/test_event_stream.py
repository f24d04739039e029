import pytest

from functions.upload.event_stream import parse_last_event_id, parse_names
from microdemucs.problems import Problem


@pytest.mark.parametrize(("text", "revision"), [("1", 1), ("118", 118), ("0" * 5 + "7", 7)])
def test_the_last_event_id_is_a_revision(text: str, revision: int) -> None:
    assert parse_last_event_id(text) == revision


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", " 1", "9" * 20, "²"])
def test_anything_else_counts_as_none(text: str) -> None:
    assert parse_last_event_id(text) == 0


def test_names_are_separated_by_commas() -> None:
    assert parse_names(f"{'a' * 32},{'b' * 64},{'a' * 32}") == {"a" * 32, "b" * 64}


@pytest.mark.parametrize(
    "text", ["", ",", "x", "A" * 32, "a" * 31, f"{'a' * 32},", "a" * 32 + "\n"]
)
def test_a_name_that_no_job_can_have_is_rejected(text: str) -> None:
    with pytest.raises(Problem) as caught:
        parse_names(text)
    assert caught.value.status == 422
    assert caught.value.body()["member"] == "jobs"


def test_two_hundred_names_are_accepted_and_no_more() -> None:
    names = [f"{number:032x}" for number in range(201)]
    assert len(parse_names(",".join(names[1:]))) == 200
    with pytest.raises(Problem, match="1 to 200 names"):
        parse_names(",".join(names))
