import json
import logging
from collections.abc import Iterator

import pytest

from microdemucs import logs


class Publisher:
    def __init__(self) -> None:
        self.lines: list[tuple[str, bytes]] = []

    def send(self, subject: str, data: bytes) -> None:
        self.lines.append((subject, data))


@pytest.fixture
def publisher() -> Publisher:
    return Publisher()


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def test_a_line_is_json_on_stdout_and_the_same_on_the_bus(
    publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.start("separate", publisher)
    logging.getLogger("x").info("job started", extra={"key": "a ü.mp3"})
    printed = capsys.readouterr().out
    line = json.loads(printed)
    assert line["event"] == "job started"
    assert (line["level"], line["function"], line["key"]) == ("info", "separate", "a ü.mp3")
    assert publisher.lines == [("logs.separate.info", printed.strip().encode())]


def test_a_context_adds_fields_to_the_lines_inside(capsys: pytest.CaptureFixture[str]) -> None:
    logs.start("separate")
    with logs.context(job="j"), logs.context(trace="t"):
        logging.getLogger("x").warning("inside")
    logging.getLogger("x").warning("outside")
    inside, outside = map(json.loads, capsys.readouterr().out.splitlines())
    assert (inside["job"], inside["trace"]) == ("j", "t")
    assert "job" not in outside


def test_an_exception_is_in_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.start("separate")
    try:
        raise KeyError("song")
    except KeyError:
        logging.getLogger("x").exception("failed")
    assert "KeyError: 'song'" in json.loads(capsys.readouterr().out)["error"]


def test_lines_of_the_bus_client_are_not_published(
    publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.start("separate", publisher)
    logging.getLogger("nats.aio").error("connection lost")
    assert "connection lost" in capsys.readouterr().out
    assert publisher.lines == []
