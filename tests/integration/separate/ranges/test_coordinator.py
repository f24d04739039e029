"""Ranges that are requested and joined, on a real bus and a real store."""

from dataclasses import replace

import numpy as np
import pytest

from functions.separate.audio.normalization import Normalization
from functions.separate.engine.overlap_add import Plan, separate_windows
from functions.separate.engine.registry import ModelRegistry
from functions.separate.job import Job
from functions.separate.ranges.coordinator import RangeCoordinator
from microdemucs.audio_facts import AudioFacts
from microdemucs.bucket import Bucket
from microdemucs.bus import Bus
from microdemucs.messages import RangeRequest
from testing.stack import Stack
from tests.integration.separate.jobs import PutSong
from tests.integration.separate.range_messages import RangeMessages
from tests.integration.separate.sounds import Samples, music

MIX = music(13)
AUDIO = AudioFacts(
    container="wav",
    codec="pcm_s16le",
    sample_rate=44_100,
    channels=2,
    seconds=13.0,
    declared_seconds=13.0,
    bits=None,
    missing_seconds=0.0,
    ends_early=False,
    length=len(MIX),
    mean=0.01,
    standard_deviation=0.2,
    is_clipped=False,
    tags={},
    warnings=[],
)
LEVEL = Normalization(AUDIO.mean, AUDIO.standard_deviation)


@pytest.fixture
def job(put: PutSong, song: bytes) -> Job:
    return put(song)


@pytest.fixture
def coordinator(job: Job, stems: Bucket, bus: Bus) -> RangeCoordinator:
    return RangeCoordinator(job, stems, bus, range_seconds=6, at_once=2)


@pytest.fixture
def messages(stack: Stack, job: Job) -> RangeMessages:
    return RangeMessages(stack)


@pytest.fixture
def plan(models: ModelRegistry) -> Plan:
    return Plan.of(models.load(models.choose("")), len(MIX))


def read(start: int, stop: int) -> Samples:
    outside = (max(0, -start), max(0, stop - max(len(MIX), start)))
    inside = MIX.T[:, max(0, start) : max(0, stop)]
    return np.pad(inside, ((0, 0), outside))


def test_every_range_without_a_result_is_requested(
    coordinator: RangeCoordinator, plan: Plan, messages: RangeMessages, job: Job
) -> None:
    ranges = coordinator.divide(plan)
    coordinator.results.write(ranges[1], [])
    assert coordinator.request_missing(ranges, AUDIO) == 2
    requests = [request.range_request for request in messages.read_new()]
    for range_, request in zip((ranges[0], ranges[2]), requests, strict=True):
        assert isinstance(request, RangeRequest)
        assert (request.range, request.audio, request.at_once) == (range_.id, AUDIO, 2)
        assert (request.stored_song.key, request.trace) == (job.song.key, job.trace)


def test_ranges_that_all_have_results_are_not_requested(
    coordinator: RangeCoordinator, plan: Plan, messages: RangeMessages
) -> None:
    ranges = coordinator.divide(plan)
    for range_ in ranges:
        coordinator.results.write(range_, [])
    assert coordinator.request_missing(ranges, AUDIO) == 0
    assert messages.read_new() == []


def test_a_request_is_published_once_until_the_song_is_put_again(
    coordinator: RangeCoordinator,
    plan: Plan,
    messages: RangeMessages,
    job: Job,
    stems: Bucket,
    bus: Bus,
) -> None:
    ranges = coordinator.divide(plan)
    coordinator.request_missing(ranges, AUDIO)
    coordinator.request_missing(ranges, AUDIO)
    assert len(messages.read_new()) == 3
    put_again = replace(job, song=replace(job.song, time="2030-01-01T00:00:00Z"))
    RangeCoordinator(put_again, stems, bus, 6, 2).request_missing(ranges, AUDIO)
    assert len(messages.read_new()) == 3


def test_a_requeued_song_is_the_same_job(
    coordinator: RangeCoordinator, messages: RangeMessages, job: Job
) -> None:
    coordinator.requeue_song()
    coordinator.requeue_song()
    requeued = messages.read_new()
    assert [(found.id, found.trace) for found in requeued] == [(job.id, job.trace)] * 2
    assert [found.range_request for found in requeued] == [None, None]


def test_joined_ranges_are_the_whole_song_at_its_own_level(
    coordinator: RangeCoordinator, plan: Plan
) -> None:
    ranges = coordinator.divide(plan)
    for range_ in ranges:
        blocks = separate_windows(plan, read, lambda share: None, range_.windows)
        coordinator.results.write(range_, blocks)
    joined = np.concatenate([*coordinator.join(ranges, plan, LEVEL)], axis=-1)
    whole = [block.samples for block in separate_windows(plan, read, lambda share: None)]
    assert np.array_equal(joined, LEVEL.denormalize(np.concatenate(whole, axis=-1)))


def test_cleaning_up_removes_all_results(coordinator: RangeCoordinator, plan: Plan) -> None:
    ranges = coordinator.divide(plan)
    coordinator.results.write(ranges[0], [])
    coordinator.clean_up()
    assert coordinator.results.existing(ranges) == []
