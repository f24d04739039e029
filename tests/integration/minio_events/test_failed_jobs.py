"""The record of a job whose message became a dead letter."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from nats.js.kv import KeyValue

from microdemucs.events import notification
from microdemucs.jobs import JobRecord, JobState, job_id
from minio_events.failed_jobs import FailedJobs
from minio_events.routing import FunctionCall, delivery_call, read_delivery, song_calls, trace_of
from testing.stack import Stack
from tests.integration.minio_events.bridge_process import new_song
from tests.integration.minio_events.connections import connected
from tests.unit.minio_events.messages import DELIVERY

SONG = new_song("a.mp3")
JOB = job_id(SONG)


def song_call() -> FunctionCall:
    [call] = song_calls(notification(SONG, "r1"), "songs")
    return call


def run(stack: Stack, test: Callable[[KeyValue], Awaitable[None]]) -> None:
    """Run `test` with the bucket of job records."""

    async def main() -> None:
        async with connected(stack, "events") as client:
            await test(await client.jetstream().key_value("jobs"))

    asyncio.run(main())


async def read(jobs: KeyValue) -> JobRecord:
    return JobRecord.read((await jobs.get(JOB)).value or b"")


def test_a_waiting_job_becomes_failed_with_its_reason(bus_stack: Stack) -> None:
    async def test(jobs: KeyValue) -> None:
        await jobs.create(JOB, JobRecord.of(SONG, model="m").write())
        await FailedJobs(jobs).record(song_call(), "answer 422")
        record = await read(jobs)
        assert (record.state, record.model) == (JobState.FAILED, "m")
        assert record.finished == record.updated != ""
        assert record.problem
        assert record.problem["type"] == "urn:micro-demucs:problem:given-up"
        assert record.problem["detail"].startswith("answer 422; ")

    run(bus_stack, test)


@pytest.mark.parametrize("was_deleted", [False, True])
def test_a_job_without_a_record_gets_one_with_the_events_trace(
    bus_stack: Stack, was_deleted: bool
) -> None:
    async def test(jobs: KeyValue) -> None:
        if was_deleted:
            await jobs.create(JOB, JobRecord.of(SONG).write())
            await jobs.delete(JOB)
        call = song_call()
        await FailedJobs(jobs).record(call, "answer 422")
        record = await read(jobs)
        assert (record.state, record.key) == (JobState.FAILED, "a.mp3")
        assert record.trace == trace_of(call.event)

    run(bus_stack, test)


def test_a_record_that_cannot_be_read_is_replaced(bus_stack: Stack) -> None:
    async def test(jobs: KeyValue) -> None:
        await jobs.create(JOB, b"no JSON")
        await FailedJobs(jobs).record(song_call(), "answer 422")
        assert (await read(jobs)).state == JobState.FAILED

    run(bus_stack, test)


@pytest.mark.parametrize("state", [JobState.DONE, JobState.CANCELLED, JobState.SUPERSEDED])
def test_a_finished_job_stays_as_it_is(bus_stack: Stack, state: JobState) -> None:
    async def test(jobs: KeyValue) -> None:
        finished = JobRecord.of(SONG)
        finished.state = state
        await jobs.create(JOB, finished.write())
        await FailedJobs(jobs).record(song_call(), "answer 422")
        assert await read(jobs) == finished

    run(bus_stack, test)


def test_a_delivery_has_no_job_record(bus_stack: Stack) -> None:
    async def test(jobs: KeyValue) -> None:
        call = delivery_call(read_delivery(json.dumps(DELIVERY).encode()))
        await FailedJobs(jobs).record(call, "answer 422")
        assert (await jobs.status()).values == 0

    run(bus_stack, test)
