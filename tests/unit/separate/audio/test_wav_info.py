import struct

from functions.separate.audio.wav_info import info_list
from microdemucs.audio_tags import NO_TAGS, AudioTags


def test_without_tags_there_is_no_list() -> None:
    assert info_list(NO_TAGS) == b""


def test_entries_begin_at_even_bytes() -> None:
    entries = b"INAM" + struct.pack("<I", 3) + b"ab\0\0" + b"IART" + struct.pack("<I", 2) + b"c\0"
    assert info_list(AudioTags("ab", "c")) == b"LIST" + struct.pack("<I", 26) + b"INFO" + entries
