"""A song in several requests has the same stems as in one, whatever happens in between."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from minio import Minio
from msgspec import structs

from functions.separate.context import Context
from functions.separate.engine.speed import MeasuredSpeed
from functions.separate.job import Job, UnreadableRange
from functions.separate.job_runner import run_job
from functions.separate.progress import ProgressReporter
from functions.separate.range_runner import publish_range_progress, run_range
from functions.separate.ranges.partition import result_prefix
from microdemucs import shutdown
from microdemucs.bus import CANCELS, JOBS, RESULTS, Bus
from microdemucs.jobs import JobRecord, JobState, options_hash
from microdemucs.problems import RetryLater, now
from microdemucs.work_limit import WorkLimit
from testing.stack import Stack
from tests.integration.separate import sounds
from tests.integration.separate.jobs import (
    PutSong,
    ReadFailure,
    ReadFinished,
    ReadManifest,
    ReadObjects,
    ReadRecord,
    at_phase,
)
from tests.integration.separate.range_messages import RangeMessages, number_of, run

LONG_S = 13.0  # five windows of the bundled model


@pytest.fixture
def messages(stack: Stack) -> RangeMessages:
    """The range and requeue messages that are published from now on."""
    return RangeMessages(stack)


@pytest.fixture
def divided(context: Context) -> Context:
    """The context of a deployment whose requests take few windows."""
    return replace(context, range_seconds=6)


@pytest.fixture
def long_song(request: pytest.FixtureRequest) -> bytes:
    seed = sum(request.node.name.encode()) % 997
    return sounds.file(sounds.music(LONG_S, seed=seed))


@pytest.fixture
def results(root: Minio) -> ReadObjects:
    """Returns the results of a job's ranges, key → eTag."""
    return lambda job: {
        str(found.object_name): str(found.etag)
        for found in root.list_objects("stems", result_prefix(job.id), recursive=True)
    }


@pytest.fixture
def forget(
    bus: Bus, record: ReadRecord, root: Minio, objects: ReadObjects
) -> Callable[[Job], None]:
    """Removes all that shows that a song was separated."""

    def forget(job: Job) -> None:
        for name in objects(job):
            root.remove_object("stems", f"{job.song.key}/{name}")
        sha256 = record(job).song["sha256"]
        bus.delete(RESULTS, f"{sha256}.{options_hash(job.options())}")

    return forget


def put_later(job: Job) -> Job:
    """Return the job of the same song, put later: the bus drops copies of earlier messages."""
    return replace(job, song=replace(job.song, time="2030-01-01T00:00:00Z"))


@pytest.mark.parametrize(
    "options",
    [
        {"format": "wav"},
        {"format": "wav", "overlap": "0.6", "bits": "32", "clip_mode": "none"},
        {"format": "wav", "shifts": "2", "two_stems": "bass"},
        {"format": "mp3"},
    ],
    ids=["wav", "overlap", "shifts", "mp3"],
)
def test_the_stems_of_a_divided_song_are_those_of_the_undivided_one_bit_for_bit(
    put: PutSong,
    long_song: bytes,
    context: Context,
    divided: Context,
    messages: RangeMessages,
    objects: ReadObjects,
    forget: Callable[[Job], None],
    options: dict[str, str],
) -> None:
    job = put(long_song, **options)
    run_job(job, context)
    undivided = objects(job)
    forget(job)
    run_job(job, divided)
    assert objects(job) == {}
    done = messages.run_all(divided)
    assert done[-1] == "song"
    assert len(done) > 2
    stems = {name: etag for name, etag in objects(job).items() if name != "manifest.json"}
    assert stems == {name: etag for name, etag in undivided.items() if name != "manifest.json"}


def test_a_divided_song_is_running_until_its_ranges_are_joined(
    put: PutSong,
    long_song: bytes,
    divided: Context,
    messages: RangeMessages,
    record: ReadRecord,
    manifest: ReadManifest,
) -> None:
    job = put(long_song)
    run_job(job, divided)
    assert record(job).state == "running"
    progress = []
    requests = messages.read_new()
    for request in requests:
        run(request, divided)
        progress.append(record(job).progress)
    assert [number_of(request) for request in requests] == [0, 1, 2]
    assert progress == sorted(set(progress))
    assert 0.9 < progress[-1] < 1
    [requeued] = messages.read_new()
    run_job(requeued, divided)
    assert (record(job).state, record(job).progress) == ("done", 1)
    assert manifest(job).trace == job.trace


def test_the_record_of_a_divided_song_says_how_long_it_takes_once_a_range_was_measured(
    put: PutSong, long_song: bytes, divided: Context, messages: RangeMessages, record: ReadRecord
) -> None:
    divided = replace(divided, speed=MeasuredSpeed())
    job = put(long_song)
    run_job(job, divided)
    before = record(job).estimate
    assert before
    assert before.seconds is None
    run(messages.read_new()[0], divided)
    after = record(job).estimate
    assert after
    assert after.seconds is not None
    assert structs.replace(after, seconds=None) == before


def test_a_range_that_is_too_much_work_by_now_requeues_its_song(
    put: PutSong, long_song: bytes, divided: Context, messages: RangeMessages, objects: ReadObjects
) -> None:
    run_job(put(long_song), divided)
    limited = replace(divided, work_limit=WorkLimit(network_seconds=1))
    run(messages.read_new()[0], limited)
    [requeued] = messages.read_new()
    run_job(requeued, limited)
    assert list(objects(requeued)) == ["failure.json"]


def test_a_divided_song_leaves_no_results_of_ranges(
    put: PutSong, long_song: bytes, divided: Context, messages: RangeMessages, results: ReadObjects
) -> None:
    job = put(long_song)
    run_job(job, divided)
    for request in messages.read_new():
        run(request, divided)
    assert len(results(job)) == 3
    assert messages.run_all(divided) == ["song"]
    assert results(job) == {}


def test_a_range_that_is_interrupted_costs_only_itself(
    put: PutSong,
    long_song: bytes,
    divided: Context,
    messages: RangeMessages,
    results: ReadObjects,
    record: ReadRecord,
    monkeypatch: pytest.MonkeyPatch,
    objects: ReadObjects,
) -> None:
    job = put(long_song)
    run_job(job, divided)
    first, second, third = messages.read_new()
    run(first, divided)
    before = results(job)

    def stop(_: ProgressReporter) -> None:
        shutdown.stopping.set()

    at_phase(monkeypatch, "separating", stop)
    with pytest.raises(RetryLater, match="is stopping"):
        run(second, replace(divided, grace_seconds=3))
    monkeypatch.undo()
    shutdown.stopping.clear()
    assert results(job) == before
    assert record(job).state == "running"
    run(third, divided)
    assert messages.read_new() == []
    run(second, divided)
    assert before.items() <= results(job).items()
    assert messages.run_all(divided) == ["song"]
    assert "manifest.json" in objects(job)


def test_a_range_that_comes_twice_is_separated_once(
    put: PutSong, long_song: bytes, divided: Context, messages: RangeMessages, results: ReadObjects
) -> None:
    job = put(long_song)
    run_job(job, divided)
    first = messages.read_new()[0]
    run(first, divided)
    before = results(job)
    run(first, divided)
    assert results(job) == before


def test_a_song_that_comes_again_requests_only_what_is_missing(
    put: PutSong, long_song: bytes, divided: Context, messages: RangeMessages
) -> None:
    job = put(long_song)
    run_job(job, divided)
    run(messages.read_new()[0], divided)
    run_job(put_later(job), divided)
    assert [number_of(request) for request in messages.read_new()] == [1, 2]


def test_a_result_that_is_missing_when_ranges_are_joined_is_separated_again(
    put: PutSong,
    long_song: bytes,
    divided: Context,
    messages: RangeMessages,
    root: Minio,
    results: ReadObjects,
    objects: ReadObjects,
) -> None:
    job = put(long_song)
    run_job(job, divided)
    for request in messages.read_new():
        run(request, divided)
    [requeued] = messages.read_new()
    root.remove_object("stems", min(results(job)))
    run_job(put_later(requeued), divided)
    assert messages.run_all(divided) == ["range 0", "song"]
    assert "manifest.json" in objects(job)


def test_a_divided_song_that_is_cancelled_ends_with_its_next_range(
    put: PutSong,
    long_song: bytes,
    divided: Context,
    messages: RangeMessages,
    bus: Bus,
    failure: ReadFailure,
    record: ReadRecord,
    results: ReadObjects,
) -> None:
    job = put(long_song)
    run_job(job, divided)
    first, second, _ = messages.read_new()
    run(first, divided)
    bus.put(CANCELS, job.id, now().encode())
    run(second, divided)
    assert messages.run_all(divided) == ["song"]
    assert failure(job).is_cancelled
    assert (record(job).state, results(job)) == ("cancelled", {})


def test_each_request_of_a_divided_song_has_a_message_for_its_own_callback(
    put: PutSong,
    long_song: bytes,
    divided: Context,
    messages: RangeMessages,
    finished: ReadFinished,
) -> None:
    jobs = [put(long_song, callback=digit * 32) for digit in "ab"]
    jobs[1] = put_later(jobs[1])
    for job in jobs:
        run_job(job, divided)
    messages.run_all(divided)
    assert {message.callback[0] for message in finished(jobs[0])} == {"a", "b"}


def test_a_divided_song_has_no_phase_while_its_ranges_wait(
    put: PutSong, long_song: bytes, divided: Context, messages: RangeMessages, record: ReadRecord
) -> None:
    job = put(long_song)
    run_job(job, divided)
    assert (record(job).state, record(job).phase) == ("running", "")
    first, *_ = messages.read_new()
    run(first, divided)
    assert (record(job).state, record(job).phase) == ("running", "")


@pytest.mark.parametrize("value", [b"\xff", b"{}", b"[" * 100_000])
def test_a_range_is_separated_although_nobody_can_read_the_record(
    put: PutSong,
    long_song: bytes,
    divided: Context,
    messages: RangeMessages,
    bus: Bus,
    value: bytes,
) -> None:
    job = put(long_song)
    run_job(job, divided)
    bus.put(JOBS, job.id, value)
    assert messages.run_all(divided)[-1] == "song"


def test_a_range_of_a_cancelled_song_is_not_separated(
    put: PutSong,
    long_song: bytes,
    divided: Context,
    messages: RangeMessages,
    bus: Bus,
    results: ReadObjects,
) -> None:
    job = put(long_song)
    run_job(job, divided)
    first, second, _ = messages.read_new()
    bus.put(CANCELS, job.id, now().encode())
    run(first, divided)
    assert messages.run_all(divided) == ["song"]
    run(second, divided)
    assert (messages.read_new(), results(job)) == ([], {})


def test_a_divided_song_that_is_overwritten_is_superseded(
    put: PutSong,
    long_song: bytes,
    song: bytes,
    divided: Context,
    messages: RangeMessages,
    record: ReadRecord,
    results: ReadObjects,
    objects: ReadObjects,
) -> None:
    job = put(long_song)
    run_job(job, divided)
    first, second, _ = messages.read_new()
    run(first, divided)
    put(song)
    run(second, divided)
    assert messages.run_all(divided) == ["song"]
    assert (record(job).state, results(job), objects(job)) == ("superseded", {}, {})


@pytest.mark.parametrize("seconds", [4, 0], ids=["shorter", "undivided"])
def test_a_range_of_another_plan_requeues_the_song(
    put: PutSong,
    long_song: bytes,
    divided: Context,
    messages: RangeMessages,
    objects: ReadObjects,
    results: ReadObjects,
    seconds: float,
) -> None:
    job = put(long_song)
    run_job(job, divided)
    first, second, _ = messages.read_new()
    run(first, divided)
    changed = replace(divided, range_seconds=seconds)
    run(second, changed)
    done = messages.run_all(changed)
    assert (done[0], done[-1]) == ("song", "song")
    assert "manifest.json" in objects(job)
    assert results(job) == {}


def test_a_range_that_cannot_be_read_requeues_the_song(
    put: PutSong,
    long_song: bytes,
    divided: Context,
    messages: RangeMessages,
    objects: ReadObjects,
) -> None:
    job = put(long_song)
    run_range(job, UnreadableRange("no member `audio`"), divided)
    assert messages.run_all(divided) == ["song", "range 0", "range 1", "range 2", "song"]
    assert "manifest.json" in objects(job)


def test_a_range_is_separated_although_the_record_is_missing(
    put: PutSong, long_song: bytes, divided: Context, messages: RangeMessages, bus: Bus
) -> None:
    job = put(long_song)
    run_job(job, divided)
    bus.delete(JOBS, job.id)
    assert messages.run_all(divided)[-1] == "song"


def test_a_range_publishes_only_more_progress_of_a_running_job(bus: Bus) -> None:
    published = JobRecord("range-progress", "songs", "a key", "an etag", model="published")
    published.state, published.progress = JobState.RUNNING, 0.5
    bus.put(JOBS, published.id, published.write())
    own = JobRecord("range-progress", "songs", "a key", "an etag", progress=0.4)
    publish_range_progress(bus, own)
    assert read_progress(bus, own) == (0.5, "published")
    own.progress = 0.6
    publish_range_progress(bus, own)
    assert read_progress(bus, own) == (0.6, "published")


def read_progress(bus: Bus, record: JobRecord) -> tuple[float, str]:
    """Return the published progress and model of a job."""
    entry = bus.get(JOBS, record.id)
    assert entry
    assert entry.value
    published = JobRecord.read(entry.value)
    return published.progress, published.model
