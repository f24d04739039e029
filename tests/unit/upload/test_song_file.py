import errno
import io
from hashlib import sha256
from typing import BinaryIO

import pytest

from functions.upload.song_file import SongFile, open_song_file
from functions.upload.upload_space import UploadSpace
from microdemucs.problems import Problem, RetryLater


class FullDisk(io.BytesIO):
    """A file whose disk is full."""

    def write(self, _: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_the_bytes_are_counted_hashed_and_kept() -> None:
    with open_song_file(10) as song:
        assert [song.write(b"abc"), song.write(b""), song.write(b"defg")] == [3, 0, 4]
        song.seek(0)
        assert song.file.read() == b"abcdefg"
        assert (song.size, song.sha256) == (7, sha256(b"abcdefg").hexdigest())


def test_the_first_byte_beyond_the_limit_is_rejected_and_not_written() -> None:
    with open_song_file(10) as song:
        song.write(b"0123456789")
        with pytest.raises(Problem) as raised:
            song.write(b"x")
        song.seek(0)
        assert song.file.read() == b"0123456789"
    assert (raised.value.status, raised.value.kind) == (413, "too-large")
    assert raised.value.extensions == {"limit": 10}


def test_a_full_disk_is_a_temporary_problem() -> None:
    file: BinaryIO = FullDisk()
    with pytest.raises(RetryLater) as raised:
        SongFile(file, 10).write(b"x")
    assert (raised.value.status, raised.value.kind) == (503, "no-room")


def test_nothing_is_left_of_the_file_when_it_is_closed() -> None:
    with open_song_file(10) as song:
        song.write(b"abc")
    assert song.file.closed


def test_a_song_gives_its_space_back_when_it_is_closed() -> None:
    space = UploadSpace(10)
    with open_song_file(10, space) as song:
        song.write(b"0123456789")
        with pytest.raises(RetryLater):
            space.ensure_free(1)
    space.ensure_free(10)


def test_a_song_that_does_not_fit_beside_others_is_a_temporary_problem() -> None:
    space = UploadSpace(10)
    with open_song_file(10, space) as first, open_song_file(10, space) as second:
        first.write(b"01234")
        second.write(b"01234")
        with pytest.raises(RetryLater) as raised:
            second.write(b"x")
        second.seek(0)
        assert second.file.read() == b"01234"
    assert (raised.value.status, raised.value.kind) == (503, "no-room")
    space.ensure_free(10)


def test_a_song_that_the_disk_did_not_take_gives_its_space_back() -> None:
    space = UploadSpace(10)
    song = SongFile(FullDisk(), 10, space)
    with pytest.raises(RetryLater):
        song.write(b"x")
    song.close()
    space.ensure_free(10)
