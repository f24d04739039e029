"""Songs that cannot be separated: a failure is written once, on a real store and a real bus."""

from dataclasses import replace

import pytest
from minio import Minio

from functions.separate.context import Context
from functions.separate.job import Job
from functions.separate.job_runner import run_job
from microdemucs.jobs import job_id
from microdemucs.work_limit import WorkLimit
from testing.objects import put_song
from tests.integration.separate import sounds
from tests.integration.separate.jobs import (
    PutSong,
    ReadFailure,
    ReadFinished,
    ReadObjects,
    ReadRecord,
    put_again_later,
)

SONG = sounds.file(sounds.music(1))


@pytest.mark.parametrize(
    ("data", "options", "kind"),
    [
        (b"a text\n" * 100, {}, "not-audio"),
        (b"", {}, "empty"),
        (SONG[: len(SONG) // 3], {}, "truncated"),
        (sounds.file(sounds.music(61)[:, :1], 44_100), {}, "too-long"),
        (SONG, {"format": "ogg"}, "bad-option"),
        (SONG, {"two_stems": "piano"}, "bad-option"),
        (SONG, {"segment": "30"}, "bad-option"),
        (SONG, {"model": "unheard-of"}, "bad-option"),
    ],
    ids=["text", "empty", "cut", "long", "format", "stems", "segment", "model"],
)
def test_a_song_that_cannot_be_separated_has_one_failure(
    put: PutSong,
    context: Context,
    objects: ReadObjects,
    failure: ReadFailure,
    record: ReadRecord,
    data: bytes,
    options: dict[str, str],
    kind: str,
) -> None:
    job = put(data, **options)
    run_job(job, context)
    found = failure(job)
    assert found.problem["type"] == f"urn:micro-demucs:problem:{kind}"
    assert (found.problem["status"], found.job, found.song.key) == (422, job.id, job.song.key)
    assert (record(job).state, record(job).problem) == ("failed", found.problem)
    before = objects(job)
    run_job(job, context)
    assert objects(job) == before
    assert list(before) == ["failure.json"]


def test_each_request_of_a_rejected_job_has_a_message_for_its_own_callback(
    put: PutSong, context: Context, objects: ReadObjects, finished: ReadFinished
) -> None:
    jobs = [put(b"no song", callback=digit * 32) for digit in "abc"]
    assert len({job.id for job in jobs}) == 1
    for job in jobs:
        run_job(job, context)
    messages = finished(jobs[0])
    assert [message.callback[0] for message in messages] == ["a", "b", "c"]
    assert {message.key for message in messages} == {f"{jobs[0].song.key}/failure.json"}
    assert all('"urn:micro-demucs:problem:not-audio"' in each.document for each in messages)
    assert list(objects(jobs[0])) == ["failure.json"]


def test_a_song_whose_key_is_the_hash_of_other_bytes_is_rejected(
    root: Minio, context: Context, failure: ReadFailure
) -> None:
    song = put_song(root, f"{'0' * 64}.mp3", SONG)
    job = Job(job_id(song), song, "", "")
    run_job(job, context)
    assert failure(job).problem["type"] == "urn:micro-demucs:problem:wrong-hash"


def test_the_record_of_a_job_that_had_failed_before_is_the_same(
    put: PutSong, context: Context, record: ReadRecord
) -> None:
    job = put(SONG, format="ogg")
    run_job(job, context)
    before = record(job)
    run_job(job, context)
    assert (record(job).problem, record(job).state) == (before.problem, "failed")


def test_a_song_with_too_many_bytes_is_rejected(
    put: PutSong, song: bytes, context: Context, failure: ReadFailure
) -> None:
    job = put(song)
    run_job(job, replace(context, max_song_bytes=1000))
    assert "more than 1000 bytes" in failure(job).problem["detail"]


def test_a_song_that_is_too_much_work_is_rejected_before_it_is_divided(
    put: PutSong,
    song: bytes,
    context: Context,
    failure: ReadFailure,
    record: ReadRecord,
    root: Minio,
) -> None:
    job = put(song, shifts="20", overlap="0.9", segment="1")
    limited = replace(context, work_limit=WorkLimit(network_seconds=100), range_seconds=5)
    run_job(job, limited)
    problem = failure(job).problem
    assert problem["type"] == "urn:micro-demucs:problem:too-much-work"
    assert (problem["limit"], problem["network_seconds"] > 100) == (100, True)
    assert record(job).state == "failed"
    assert not list(root.list_objects("stems", f".ranges/{job.id}/", recursive=True))


def test_a_song_whose_stems_are_too_large_is_rejected(
    put: PutSong, song: bytes, context: Context, failure: ReadFailure
) -> None:
    job = put(song, format="wav", bits="32")
    run_job(job, replace(context, work_limit=WorkLimit(output_bytes=100_000)))
    problem = failure(job).problem
    assert problem["type"] == "urn:micro-demucs:problem:too-much-output"
    assert (problem["limit"], problem["output_bytes"] > 100_000) == (100_000, True)


def key_of(size: int, request: pytest.FixtureRequest) -> str:
    """Return a name for a song whose whole key has `size` bytes."""
    folder = "/".join(["k" * 200] * 4)
    return f"{folder}/{'k' * (size - len(request.node.name) - len(folder) - 2)}"


def test_a_key_that_is_too_long_for_stems_is_rejected(
    put: PutSong, context: Context, failure: ReadFailure, request: pytest.FixtureRequest
) -> None:
    job = put(SONG, key_of(1001, request))
    run_job(job, context)
    assert failure(job).problem["detail"] == "it has 1001 bytes; up to 1000 are accepted"


def test_a_key_that_is_too_long_for_a_failure_has_only_a_record(
    put: PutSong,
    context: Context,
    record: ReadRecord,
    objects: ReadObjects,
    request: pytest.FixtureRequest,
) -> None:
    job = put(SONG, key_of(1015, request))
    run_job(job, context)
    assert (record(job).state, objects(job)) == ("failed", {})


def test_the_same_bytes_put_again_after_a_failure_are_tried_again(
    put: PutSong, context: Context, failure: ReadFailure
) -> None:
    job = put(b"a text")
    run_job(job, context)
    first = failure(job)
    run_job(put_again_later(job), context)
    assert failure(job).finished > first.finished
