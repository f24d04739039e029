import io
import struct
from pathlib import Path

import pytest

from functions.separate.audio.wav_header import WavHeader, read_wav_header
from tests.integration.separate.audio import odd_files
from tests.integration.separate.sounds import file, music

MUSIC = music(2)
FMT = struct.pack("<HHIIHH", 1, 2, 44_100, 176_400, 4, 16)
PCM = (MUSIC * 32767).astype("<i2").tobytes()[:176_400]


def header(data: bytes) -> WavHeader:
    found = read_wav_header(io.BytesIO(data))
    assert found
    return found


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "W64"])
@pytest.mark.parametrize(("subtype", "bits"), [("PCM_16", 16), ("PCM_24", 24), ("FLOAT", 32)])
def test_a_right_header_is_believed(kind: str, subtype: str, bits: int) -> None:
    found = header(file(MUSIC, kind=kind, subtype=subtype))
    assert (found.declared_seconds, found.valid_bits, found.warnings) == (2.0, bits, [])


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_streamed_wav_declares_nothing(size: int) -> None:
    wav = file(MUSIC)
    at = wav.index(b"data") + 4
    assert header(wav[:at] + struct.pack("<I", size) + wav[at + 4 :]).declared_seconds is None


def test_a_truncated_wav_still_declares_its_duration() -> None:
    assert header(file(MUSIC)[:99_999]).declared_seconds == 2.0


def test_fewer_valid_bits_are_read_as_they_are_stored() -> None:
    found = header(odd_files.wav_of_width(MUSIC, 24, 32))
    assert found.valid_bits == 24
    assert struct.pack("<H", 32) in found.patches.values()
    assert found.warnings == []


def test_a_wrong_block_align_is_corrected_with_a_warning() -> None:
    found = header(odd_files.wav(FMT[:12] + b"\x02\0" + FMT[14:], PCM))
    assert list(found.patches.values()) == [struct.pack("<HH", 4, 16)]
    assert found.declared_seconds == 1.0
    assert "16 bits and 4 bytes are stored" in found.warnings[0]


def test_a_size_that_ends_in_the_audio_is_corrected() -> None:
    whole = odd_files.wav(FMT, PCM)
    at = whole.index(b"data") + 4
    found = header(whole[:at] + struct.pack("<I", 1000) + whole[at + 4 :])
    assert found.declared_seconds == 1.0
    assert found.patches == {at: b"\xff" * 4}


@pytest.mark.parametrize("behind", [odd_files.id3v1(), odd_files.noise(5000), b"LIST\4\0\0\0INFO"])
def test_what_lies_behind_a_right_size_is_no_audio(behind: bytes) -> None:
    found = header(odd_files.wav(FMT, PCM) + behind)
    assert (found.declared_seconds, found.patches) == (1.0, {})


@pytest.mark.parametrize("zeros", [0, 5, 8, 900_000])
@pytest.mark.parametrize("magic", [b"RIFF\0\0\0\0WAVE", b"RF64\xff\xff\xff\xffWAVE"])
def test_empty_chunks_end(magic: bytes, zeros: int) -> None:
    assert header(magic + bytes(4) + bytes(zeros)).declared_seconds is None


def test_other_files_are_no_wav() -> None:
    assert read_wav_header(io.BytesIO(b"")) is None
    assert read_wav_header(io.BytesIO(b"RIFF\0\0\0\0AVI ")) is None


@pytest.mark.parametrize("length", [0, 1, 23])
def test_a_chunk_of_w64_that_is_shorter_than_its_own_header_is_no_error(
    length: int, tmp_path: Path
) -> None:
    w64 = bytearray(file(MUSIC, kind="W64", subtype="PCM_16"))
    at = w64.index(b"fmt ", 40) + 16
    w64[at : at + 8] = struct.pack("<Q", length)
    (tmp_path / "song.w64").write_bytes(w64)
    with (tmp_path / "song.w64").open("rb") as song:  # BytesIO accepts negative sizes
        found = read_wav_header(song)
    assert found
    assert found.declared_seconds is None
