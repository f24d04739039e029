"""The format of peaks: a line of JSON, and columns behind it."""

import json

import pytest

from microdemucs.manifest import BadDocument
from microdemucs.peaks import Peaks, PeaksHeader

TWO_STEMS = PeaksHeader(stems=["drums", "bass"], total=10, start=4)
PEAKS = Peaks(TWO_STEMS, bytes(range(18)))  # columns 4, 5 and 6


def test_a_document_is_read_as_it_was_written() -> None:
    assert Peaks.read(PEAKS.write()) == PEAKS


def test_a_document_is_a_line_of_json_and_the_columns() -> None:
    line, _, columns = PEAKS.write().partition(b"\n")
    assert json.loads(line)["stems"] == ["drums", "bass"]
    assert columns == PEAKS.columns


def test_newlines_among_the_columns_are_columns() -> None:
    peaks = Peaks(TWO_STEMS, b"\n" * 6)
    assert Peaks.read(peaks.write()) == peaks


def test_the_columns_end_behind_the_last_one() -> None:
    assert PEAKS.stop == 7


@pytest.mark.parametrize(
    ("first", "start", "columns"),
    [
        (0, 4, bytes(range(18))),
        (4, 4, bytes(range(18))),
        (5, 5, bytes(range(6, 18))),
        (7, 7, b""),
        (99, 7, b""),
    ],
)
def test_columns_can_be_left_out_at_the_beginning(first: int, start: int, columns: bytes) -> None:
    rest = PEAKS.from_column(first)
    assert (rest.header.start, rest.columns) == (start, columns)


def test_peaks_without_stems_have_no_columns() -> None:
    assert Peaks(PeaksHeader(stems=[], total=0), b"").from_column(3).stop == 0


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\n",
        b'{"stems":["drums"],"total":10}',
        b'{"stems":["drums"],"total":10}\n12345',
        b'{"stems":["drums"],"total":-1}\n',
        b'{"stems":["drums"],"total":1,"start":-1}\n',
        b'{"stems":"drums","total":1}\n',
        b'{"stems":["drums"]}\n',
        b" " * 5000 + b'{"stems":["drums"],"total":1}\n',
    ],
)
def test_anything_else_is_no_document_of_peaks(document: bytes) -> None:
    with pytest.raises(BadDocument):
        Peaks.read(document)
