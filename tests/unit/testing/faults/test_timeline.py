from pathlib import Path

from testing.faults.timeline import Timeline, read_timeline


def test_events_are_read_as_they_were_added(tmp_path: Path) -> None:
    timeline = Timeline(tmp_path / "timeline.jsonl")
    timeline.add("fault begun", component="nats")
    timeline.add("fault ended", component="nats")
    first, second = read_timeline(tmp_path / "timeline.jsonl")
    assert (first["event"], first["component"]) == ("fault begun", "nats")
    assert second["at"] >= first["at"]


def test_an_incomplete_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "timeline.jsonl"
    path.write_text('{"at": 0, "event": "a"}\n{"at": 1, "ev')
    assert len(read_timeline(path)) == 1
