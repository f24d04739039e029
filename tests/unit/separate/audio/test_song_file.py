import io

from functions.separate.audio.song_file import SongFile


def test_stretches_are_read_as_one_file() -> None:
    file = SongFile(io.BytesIO(b"0123456789"), [(1, 3), (5, 5), (7, 9)])
    assert file.size == 4
    assert [file.read(9), file.read(1), file.read(), file.read()] == [b"12", b"7", b"8", b""]


def test_it_can_be_entered_anywhere() -> None:
    file = SongFile(io.BytesIO(b"0123456789"), [(1, 3), (7, 9)])
    assert (file.seek(3), file.read(), file.tell()) == (3, b"8", 4)
    assert (file.seek(-2, io.SEEK_END), file.read(1)) == (2, b"7")
    assert (file.seek(-9, io.SEEK_CUR), file.read(1)) == (0, b"1")
    assert (file.seek(99), file.read()) == (99, b"")


def test_patches_replace_bytes_of_the_file() -> None:
    file = SongFile(io.BytesIO(b"0123456789"), [(0, 10)], {2: b"ab", 9: b"cd"})
    assert file.read() == b"01ab45678c"
    file.seek(3)
    assert file.read(2) == b"b4"
