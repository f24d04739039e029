"""A song in several requests gives what one request gives, whatever comes between."""

from dataclasses import replace

import pytest

from functions.separate.engine.overlap_add import Plan
from functions.separate.job_runner import run_job
from functions.separate.progress import ProgressReporter
from functions.separate.range_runner import run_range
from functions.separate.ranges import partition
from microdemucs import shutdown
from microdemucs.bus import CANCELS, JOBS, RESULTS
from microdemucs.problems import RetryLater
from tests.integration.separate import sounds
from tests.integration.separate.asked import at
from tests.integration.separate.dividing import Asked, serve

LONG = 13.0
"""s: five windows of the bundled model."""


@pytest.fixture
def asked(stack):
    return Asked(stack)


@pytest.fixture
def divided(context):
    """The same context in a deployment whose requests may take few windows."""
    return replace(context, range_seconds=6)


@pytest.fixture
def long(request):
    seed = sum(request.node.name.encode()) % 997
    return sounds.file(sounds.music(LONG, seed=seed))


@pytest.fixture
def objects(root):
    """What of a job's ranges lies in the bucket."""
    return lambda job: {
        one.object_name: one.etag
        for one in root.list_objects("stems", partition.result_prefix(job.id), recursive=True)
    }


@pytest.fixture
def forget(bus, record, root, beside):
    """Have nobody know that this song was separated."""

    def forget(job):
        for name in beside(job):
            root.remove_object("stems", f"{job.song.key}/{name}")
        for entry in bus.entries(RESULTS):
            if entry.value and record(job).song["sha256"] in entry.key:
                bus.delete(RESULTS, entry.key)

    return forget


@pytest.mark.parametrize(
    ("seconds", "at_once", "sizes"),
    [
        (0, 1, [34]),
        (200, 1, [34]),
        (40, 1, [11, 11, 12]),
        (0, 2, [17, 17]),
        (40, 2, [11, 11, 12]),
        (0, 32, [8, 9, 8, 9]),  # none shorter than is worth a process
        (1, 1, [1] * 34),
    ],
)
def test_a_song_is_cut_by_the_longest_range_and_by_how_many_may_share_it(
    models, seconds, at_once, sizes
):
    plan = Plan.of(models.load(models.choose("")), 98 * 44_100)
    parts = partition.divide(plan, seconds, at_once)
    assert [part.stop - part.first for part in parts] == sizes
    assert [part.number for part in parts] == list(range(len(sizes)))
    assert [part.first for part in parts[1:]] == [part.stop for part in parts[:-1]]


def test_ranges_of_another_model_or_cut_are_others(models):
    model = models.load(models.choose(""))
    plan = Plan.of(model, 30 * 44_100)
    [one, *_] = partition.divide(plan, 10, 1)
    [other_cut, *_] = partition.divide(plan, 20, 1)
    [other_model, *_] = partition.divide(replace(plan, model=replace(model, name="x")), 10, 1)
    assert len({partition.result_key("job", part) for part in (one, other_cut, other_model)}) == 3


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
def test_a_divided_song_is_the_undivided_one_bit_for_bit(
    put, long, context, divided, asked, beside, forget, options
):
    job = put(long, **options)
    run_job(job, context)
    whole = beside(job)
    forget(job)
    run_job(job, divided)
    assert beside(job) == {}
    done = asked.serve(divided)
    assert done[-1] == "song"
    assert len(done) > 2
    stems = {name: etag for name, etag in beside(job).items() if name != "manifest.json"}
    assert stems == {name: etag for name, etag in whole.items() if name != "manifest.json"}


def test_a_divided_song_is_running_until_it_is_joined_and_leaves_nothing(
    put, long, divided, asked, record, objects, manifest
):
    job = put(long)
    run_job(job, divided)
    assert (record(job).state, objects(job)) == ("running", {})
    shares = []
    news = asked.news()
    for part in news:
        run_range(part, part.range_request, divided)
        shares.append(record(job).progress)
    assert [part.range_request.range.number for part in news] == [0, 1, 2]
    assert shares == sorted(set(shares))
    assert 0.9 < shares[-1] < 1
    assert len(objects(job)) == 3
    [again] = asked.news()
    run_job(again, divided)
    assert (record(job).state, record(job).progress) == ("done", 1)
    assert manifest(job)["trace"] == job.trace
    assert objects(job) == {}
    assert asked.news() == []


def test_a_range_that_is_cut_off_costs_only_itself(
    put, long, divided, asked, objects, record, monkeypatch, beside
):
    job = put(long)
    run_job(job, divided)
    first, second, third = asked.news()
    run_range(first, first.range_request, divided)
    before = objects(job)

    def stop(report: ProgressReporter) -> None:
        shutdown.stopping.set()

    at(monkeypatch, "separating", stop)
    with pytest.raises(RetryLater, match="is stopping"):
        run_range(second, second.range_request, replace(divided, grace_seconds=3))
    monkeypatch.undo()
    shutdown.stopping.clear()
    assert objects(job) == before
    assert record(job).state == "running"
    run_range(third, third.range_request, divided)
    assert asked.news() == []
    run_range(second, second.range_request, divided)
    assert before.items() <= objects(job).items()
    assert asked.serve(divided) == ["song"]
    assert "manifest.json" in beside(job)


def test_a_range_that_comes_twice_is_separated_once(put, long, divided, asked, objects):
    job = put(long)
    run_job(job, divided)
    part = asked.news()[0]
    run_range(part, part.range_request, divided)
    before = objects(job)
    run_range(part, part.range_request, divided)
    assert objects(job) == before


def test_a_song_that_comes_again_asks_for_what_is_missing_only(put, long, divided, asked):
    job = put(long)
    run_job(job, divided)
    serve(asked.news()[0], divided)
    # not the message of before, which is still known to the bus
    later = replace(job, song=replace(job.song, time="2030-01-01T00:00:00Z"))
    run_job(later, divided)
    assert [part.range_request.range.number for part in asked.news()] == [1, 2]


def test_a_range_that_is_gone_when_they_are_joined_is_separated_again(
    put, long, divided, asked, root, objects, beside
):
    job = put(long)
    run_job(job, divided)
    for part in asked.news():
        run_range(part, part.range_request, divided)
    [again] = asked.news()
    root.remove_object("stems", min(objects(job)))
    later = replace(again, song=replace(job.song, time="2030-01-01T00:00:00Z"))
    run_job(later, divided)
    assert asked.serve(divided) == ["range 0", "song"]
    assert "manifest.json" in beside(job)


def test_a_divided_song_that_is_cancelled_ends_with_its_next_range(
    put, long, divided, asked, bus, failure, record, objects
):
    job = put(long)
    run_job(job, divided)
    first, second, _ = asked.news()
    run_range(first, first.range_request, divided)
    bus.put(CANCELS, job.id, b"1")
    run_range(second, second.range_request, divided)
    assert asked.serve(divided) == ["song"]
    assert failure(job)["type"].endswith(":cancelled")
    assert (record(job).state, objects(job)) == ("cancelled", {})
    run_range(second, second.range_request, divided)  # one that waited in line
    assert (asked.news(), objects(job)) == ([], {})


def test_a_divided_song_that_is_overwritten_is_left_to_its_own_event(
    put, long, song, divided, asked, record, objects, beside
):
    job = put(long)
    run_job(job, divided)
    first, second, _ = asked.news()
    run_range(first, first.range_request, divided)
    put(song)
    run_range(second, second.range_request, divided)
    assert asked.serve(divided) == ["song"]
    assert (record(job).state, objects(job), beside(job)) == ("superseded", {}, {})


@pytest.mark.parametrize("seconds", [4, 0], ids=["shorter", "undivided"])
def test_a_range_cut_by_other_settings_has_the_song_cut_anew(
    put, long, divided, asked, beside, objects, seconds
):
    job = put(long)
    run_job(job, divided)
    first, second, _ = asked.news()
    run_range(first, first.range_request, divided)
    changed = replace(divided, range_seconds=seconds)
    run_range(second, second.range_request, changed)
    done = asked.serve(changed)
    assert (done[0], done[-1]) == ("song", "song")
    assert "manifest.json" in beside(job)
    assert objects(job) == {}


def test_a_range_whose_song_needs_no_record_is_done_without_it(put, long, divided, asked, bus):
    job = put(long)
    run_job(job, divided)
    bus.delete(JOBS, job.id)
    assert asked.serve(divided)[-1] == "song"
