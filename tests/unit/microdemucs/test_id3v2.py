import struct

from microdemucs.audio_tags import NO_TAGS, AudioTags
from microdemucs.id3v2 import id3v2


def test_without_tags_there_is_no_id3v2() -> None:
    assert id3v2(NO_TAGS) == b""


def test_sizes_have_seven_bits_a_byte() -> None:
    tag = id3v2(AudioTags(title="♫", cover=b"\x89PNG" + bytes(300)))
    assert tag[:10] == b"ID3\x04\0\0" + bytes([0, 0, *divmod(len(tag) - 10, 128)])
    assert tag[10:25] == b"TIT2" + struct.pack(">I", 4) + b"\0\0\x03" + "♫".encode() + b"A"
