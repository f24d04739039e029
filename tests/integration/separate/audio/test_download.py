"""Songs that are downloaded from a real store."""

import hashlib
import io
from dataclasses import replace

import pytest
from minio import Minio

from functions.separate.audio.download import ensure_unchanged, fetch
from functions.separate.job import Job
from microdemucs.bucket import Bucket
from microdemucs.problems import Rejected
from microdemucs.store import ObjectChanged
from tests.integration.separate.jobs import PutSong

DATA = bytes(range(256)) * 10_000


@pytest.fixture
def songs(client: Minio) -> Bucket:
    return Bucket(client, "songs")


@pytest.fixture
def job(put: PutSong) -> Job:
    return put(DATA)


def ignore(share: float) -> None:
    """Nobody follows the progress."""


def test_the_bytes_are_written_and_their_digest_returned(songs: Bucket, job: Job) -> None:
    file = io.BytesIO()
    digest = fetch(songs, job.song, file, len(DATA), ignore)
    assert file.read() == DATA
    assert digest == hashlib.sha256(DATA).hexdigest()


def test_progress_is_the_share_of_the_bytes(songs: Bucket, job: Job) -> None:
    progress: list[float] = []
    fetch(songs, job.song, io.BytesIO(), len(DATA), progress.append)
    assert progress == sorted(progress)
    assert len(progress) > 1
    assert progress[-1] == 1


def test_an_exception_of_the_callback_ends_the_download(songs: Bucket, job: Job) -> None:
    def interrupt(share: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        fetch(songs, job.song, io.BytesIO(), len(DATA), interrupt)


def test_a_song_that_is_too_large_is_rejected_before_it_is_written(songs: Bucket, job: Job) -> None:
    file = io.BytesIO()
    with pytest.raises(Rejected, match=f"more than {len(DATA) - 1} bytes"):
        fetch(songs, job.song, file, len(DATA) - 1, ignore)
    assert file.getvalue() == b""


def test_an_unchanged_song(songs: Bucket, job: Job) -> None:
    ensure_unchanged(songs, job.song)


def test_an_etag_may_have_quotes(songs: Bucket, job: Job) -> None:
    ensure_unchanged(songs, replace(job.song, etag=f'"{job.song.etag}"'))


def test_a_song_that_was_overwritten_is_not_downloaded(
    songs: Bucket, job: Job, put: PutSong
) -> None:
    put(DATA[1:])
    with pytest.raises(ObjectChanged):
        fetch(songs, job.song, io.BytesIO(), len(DATA), ignore)


def test_a_song_that_was_removed_is_not_downloaded(songs: Bucket, job: Job, root: Minio) -> None:
    root.remove_object("songs", job.song.key)
    with pytest.raises(ObjectChanged):
        ensure_unchanged(songs, job.song)
