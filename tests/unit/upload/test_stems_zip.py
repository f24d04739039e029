import io
import zipfile
from collections.abc import Iterator

import pytest

from functions.upload.stems_zip import make_archive, name_in_zip

GIB = 2**30


def silence(size: int) -> Iterator[bytes]:
    while size:
        block = bytes(min(size, 1000))
        yield block
        size -= len(block)


@pytest.mark.parametrize(
    ("song_key", "name"),
    [
        ("form/0123/Ö & 1.mp3", "Ö & 1 - drums.mp3"),
        ("..\\..\\evil.mp3", ".._.._evil - drums.mp3"),
        ("a:b?\n.mp3", "a_b__ - drums.mp3"),
        ("日本語.flac", "日本語 - drums.mp3"),
    ],
)
def test_a_name_can_be_unpacked_on_every_system(song_key: str, name: str) -> None:
    assert name_in_zip(song_key, "drums.mp3") == name


def test_an_archive_has_the_announced_length_and_its_files() -> None:
    archive = make_archive([("ä.mp3", 3000, silence(3000)), ("b.mp3", 0, silence(0))])
    length, data = len(archive), b"".join(archive)
    assert len(data) == length
    with zipfile.ZipFile(io.BytesIO(data)) as unpacked:
        assert unpacked.testzip() is None
        assert [(info.filename, info.file_size) for info in unpacked.infolist()] == [
            ("ä.mp3", 3000),
            ("b.mp3", 0),
        ]
        assert {info.compress_type for info in unpacked.infolist()} == {zipfile.ZIP_STORED}


@pytest.mark.parametrize("announced", [2999, 3001])
def test_a_file_of_another_size_than_announced_is_an_error(announced: int) -> None:
    with pytest.raises(RuntimeError, match="size"):
        b"".join(make_archive([("a.mp3", announced, silence(3000))]))


@pytest.mark.parametrize(("size", "version"), [(GIB, 20), (4 * GIB, 45)])
def test_a_file_of_4_gib_needs_zip64_and_a_smaller_one_does_not(size: int, version: int) -> None:
    header = next(iter(make_archive([("a.wav", size, silence(size))])))
    assert int.from_bytes(header[4:6], "little") == version  # needed to extract: APPNOTE 4.4.3


def test_many_files_beyond_2_gib_have_a_zip64_end() -> None:
    length = len(make_archive([("a", GIB, silence(1))] * 5))
    # APPNOTE 4.3: header, data and descriptor of a file; its entry in the directory
    per_file = (30 + 1 + GIB + 16) + (46 + 1)
    with_large_offset, end = 3 * (4 + 8), 56 + 20 + 22
    assert length == 5 * per_file + with_large_offset + end
