from typing import Any

from local.logs import readable


def test_a_line_shows_time_function_event_and_the_other_fields() -> None:
    line: dict[str, Any] = {
        "time": "2026-11-23T01:02:03.004Z",
        "level": "info",
        "function": "separate",
        "event": "job done",
        "job": "j1",
        "timings": {"decoding": 0.1},
    }
    expected = '01:02:03.004  separate      job done  job=j1 timings={"decoding": 0.1}'
    assert readable(line, colour=False) == expected


def test_an_error_is_red_on_a_terminal() -> None:
    line = {"time": "", "level": "error", "function": "notify", "event": "crashed"}
    assert readable(line, colour=True).startswith("\033[31m")


def test_an_error_has_no_colour_elsewhere() -> None:
    line = {"time": "", "level": "error", "function": "notify", "event": "crashed"}
    assert "\033" not in readable(line, colour=False)


def test_a_value_of_several_lines_begins_on_a_new_line() -> None:
    line = {"function": "notify", "event": "crashed", "traceback": "a\nb"}
    assert readable(line, colour=False).endswith("traceback=\na\nb")
