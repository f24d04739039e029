"""Frames among tags, pictures and junk; damaged files take neither long nor much memory."""

import io

import pytest

from functions.separate.audio.frame_scan import AudioMap, read_adts_header, scan
from microdemucs.mpeg_audio import Frame, read_mpeg_header
from tests.integration.separate.audio import odd_files

# 128 kbit/s at 44.1 kHz: 417 bytes
FRAME = b"\xff\xfb\x90\x64".ljust(417, b"\x55")
SECONDS = 1152 / 44_100


def scanned(data: bytes) -> AudioMap:
    found = scan(io.BytesIO(data), read_mpeg_header)
    assert found
    return found


def test_an_adts_header_tells_the_size_of_a_frame() -> None:
    frame = read_adts_header(bytes.fromhex("fff15080011ffc"))
    assert frame
    assert (frame.size, frame.seconds) == (8, 1024 / 44_100)


def test_frames_alone_are_one_stretch() -> None:
    assert scanned(FRAME * 9) == AudioMap([(0, 9 * 417)], 0.0, 0, False)


def test_a_tag_between_frames_splits_them_and_nothing_is_missing() -> None:
    tag = odd_files.id3v2(b"x" * 5000)
    assert scanned(FRAME * 9 + tag + FRAME * 9).stretches == [
        (0, 9 * 417),
        (9 * 417 + len(tag), 18 * 417 + len(tag)),
    ]


def test_junk_between_frames_is_missing_audio() -> None:
    found = scanned(FRAME * 99 + bytes(417 * 5) + FRAME * 99)
    assert found.missing_seconds == pytest.approx(5 * SECONDS, rel=0.01)
    assert found.junk == 417 * 5


def test_junk_in_front_of_an_info_frame_is_not() -> None:
    info = (FRAME[:36] + b"Info").ljust(417, b"\0")
    assert scanned(FRAME * 99 + b"\x01" * 2000 + info + FRAME * 99).missing_seconds == 0


def test_a_tag_with_a_wrong_size_takes_no_audio_away() -> None:
    wrong = b"ID3\x04\0\0\0\0\x20\x05"
    assert scanned(wrong + FRAME * 30).stretches == [(10, 10 + 30 * 417)]


def test_a_frame_that_ends_behind_the_file_is_cut() -> None:
    found = scanned((FRAME * 9)[:-100])
    assert (found.stretches, found.is_cut) == ([(0, 9 * 417 - 100)], True)


def test_a_tag_larger_than_a_chunk_is_skipped() -> None:
    tag = odd_files.ape(bytes(3 << 20))
    assert scanned(FRAME * 9 + tag + FRAME * 9).junk == 0


def test_frames_behind_more_junk_than_a_chunk_are_found() -> None:
    junk = bytes((2 << 20) + 7)
    assert scanned(FRAME * 9 + junk + FRAME * 9).stretches[1][0] == 9 * 417 + len(junk)


@pytest.mark.parametrize(
    "unit",
    [
        b"\xff",
        b"\xff\xfb\x90\0",
        b"ID3\4\0\0\0\0\0\0",
        b"ID3\4\0\0\1\0\0\0",
        b"TAG".ljust(128, b"\0"),
        b"LYRICSBEGIN",
        b"LYRICSBEGINLYRICSEND",
        FRAME + b"LYRICSBEGIN",
        FRAME + bytes(8) + b"abc\0",
        FRAME * 5 + bytes(8) + b"abc\0",
        b"APETAGEX" + bytes(4) + b"\0\0\1\0" + bytes(7) + b"\x20" + bytes(8),
    ],
)
def test_the_headers_that_are_read_do_not_grow_faster_than_the_file(unit: bytes) -> None:
    assert headers_read(unit, 4) < 6 * headers_read(unit, 1) + 100


def headers_read(unit: bytes, size: int) -> int:
    """How many headers are read in a file of `size` times 256 KiB."""
    count = 0

    def read_header(data: bytes) -> Frame | None:
        nonlocal count
        count += 1
        return read_mpeg_header(data)

    scan(io.BytesIO(unit * ((size << 18) // len(unit))), read_header)
    return count
