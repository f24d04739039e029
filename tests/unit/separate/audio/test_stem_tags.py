import struct

from functions.separate.audio.stem_tags import NO_TAGS, StemTags, id3v2


def test_the_title_of_a_stem_names_it() -> None:
    tags = StemTags.of_song({"title": "A", "artist": "B", "track": "3/9"}, "file", "vocals", b"")
    assert tags == StemTags("A (vocals)", "B", "", "3/9")


def test_without_a_title_the_name_of_the_file_counts() -> None:
    assert StemTags.of_song({}, "file", "no_vocals", b"").title == "file (no_vocals)"


def test_without_tags_there_is_no_id3v2() -> None:
    assert id3v2(NO_TAGS) == b""


def test_sizes_in_id3v2_have_seven_bits_a_byte() -> None:
    tag = id3v2(StemTags(title="♫", cover=b"\x89PNG" + bytes(300)))
    assert tag[:10] == b"ID3\x04\0\0" + bytes([0, 0, *divmod(len(tag) - 10, 128)])
    assert tag[10:25] == b"TIT2" + struct.pack(">I", 4) + b"\0\0\x03" + "♫".encode() + b"A"
