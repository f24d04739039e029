"""What happened to a job's song since its event, in a real store."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from minio import Minio

from functions.separate.context import Context
from functions.separate.job import Job
from functions.separate.job_runner import run_job
from functions.separate.later_requests import LaterRequests
from functions.separate.lease import Lease
from functions.separate.output.fence import SongFence
from functions.separate.output.stem_store import StemStore
from microdemucs.jobs import JobRecord, JobState
from tests.integration.separate.jobs import PutSong

EARLIER, LATER = "2020-01-01T00:00:00.000Z", "2120-01-01T00:00:00.000Z"

Requests = Callable[..., LaterRequests]


@pytest.fixture
def requests(context: Context) -> Requests:
    """Returns the later requests for the song of a job, which has this record."""

    def requests(job: Job, record: JobRecord | None = None) -> LaterRequests:
        fence = SongFence(Lease(context.bus, job.song.key, job.id), context.stems, job.song.key)
        songs = context.songs(job.song.bucket)
        return LaterRequests(job, songs, StemStore(context.stems, job, fence), record)

    return requests


def test_a_song_that_stays_is_not_replaced(put: PutSong, requests: Requests) -> None:
    assert not requests(put(b"a")).replaced_song()


def test_a_song_with_other_bytes_is_replaced(put: PutSong, requests: Requests) -> None:
    job = put(b"a")
    put(b"b")
    assert requests(job).replaced_song()


def test_a_song_that_was_removed_is_replaced(put: PutSong, requests: Requests, root: Minio) -> None:
    job = put(b"a")
    root.remove_object("songs", job.song.key)
    assert requests(job).replaced_song()


def test_the_same_song_was_put_after_an_earlier_time_only(put: PutSong, requests: Requests) -> None:
    later = requests(put(b"a"))
    assert later.time_put_after(EARLIER) > EARLIER
    assert later.time_put_after(LATER) == ""


def test_another_song_at_the_key_is_not_the_same_song(put: PutSong, requests: Requests) -> None:
    job = put(b"a")
    put(b"b")
    assert requests(job).time_put_after(EARLIER) == ""


@pytest.mark.parametrize(
    ("state", "time", "waits"),
    [
        (JobState.WAITING, EARLIER, True),
        (JobState.WAITING, LATER, False),
        (JobState.CANCELLED, EARLIER, False),
    ],
)
def test_an_unfinished_record_of_after_that_time_waits(
    put: PutSong, requests: Requests, state: JobState, time: str, waits: bool
) -> None:
    job = put(b"a")
    record = JobRecord.of(job.song)
    record.state = state
    assert requests(job, record).waits_after(time) is waits


def test_without_a_record_nothing_waits(put: PutSong, requests: Requests) -> None:
    assert not requests(put(b"a")).waits_after(EARLIER)


def test_a_later_result_with_other_options_has_overtaken_a_job(
    put: PutSong, song: bytes, context: Context, requests: Requests
) -> None:
    earlier = put(song)
    assert not requests(earlier).have_overtaken()
    run_job(put(song, format="flac"), context)
    assert requests(earlier).have_overtaken()
    much_later = replace(earlier, song=replace(earlier.song, time=LATER))
    assert not requests(much_later).have_overtaken()
