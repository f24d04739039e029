"""The end of a job whose message became a dead letter: its record, and who is informed."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from nats.js.kv import KeyValue

from microdemucs.bus import FINISHED_SUBJECT
from microdemucs.events import notification
from microdemucs.jobs import JobRecord, JobState, job_id
from microdemucs.manifest import Failure
from microdemucs.messages import Finished
from microdemucs.result_check import read_result
from minio_events.failed_jobs import FailedJobs
from minio_events.routing import FunctionCall, delivery_call, read_delivery, song_calls, trace_of
from testing.stack import Stack
from tests.integration.minio_events.bridge_process import new_song
from tests.integration.minio_events.connections import connected
from tests.integration.minio_events.stored_messages import stored_messages
from tests.unit.minio_events.messages import DELIVERY

SONG = new_song("a.mp3")
JOB = job_id(SONG)
CALLBACK = "c" * 32


def song_call(callback: str = "") -> FunctionCall:
    metadata = {"callback": callback} if callback else {}
    [call] = song_calls(notification(replace(SONG, metadata=metadata), "r1"), "songs")
    return call


def run(stack: Stack, test: Callable[[FailedJobs, KeyValue], Awaitable[None]]) -> None:
    """Run `test` with FailedJobs as the bridge has it, and the bucket of job records."""

    async def main() -> None:
        async with connected(stack, "bridge") as client:
            jobs = await client.jetstream().key_value("jobs")
            await test(FailedJobs(client, jobs), jobs)

    asyncio.run(main())


def published(stack: Stack) -> list[tuple[Finished, Failure]]:
    """Return the messages `finished`, each with the document that it holds, as notify reads it."""

    stored = stored_messages(stack, "STEMS")
    assert {message.subject for message in stored} <= {FINISHED_SUBJECT}
    found = []
    for message in (Finished.read(message.data or b"") for message in stored):
        failure = read_result(message.key, message.document.encode())
        assert isinstance(failure, Failure)
        assert (failure.job, failure.song.key) == (message.job, SONG.key)
        found.append((message, failure))
    return found


async def read(jobs: KeyValue) -> JobRecord:
    return JobRecord.read((await jobs.get(JOB)).value or b"")


def test_a_waiting_job_becomes_failed_with_its_reason(bus_stack: Stack) -> None:
    async def test(failed: FailedJobs, jobs: KeyValue) -> None:
        await jobs.create(JOB, JobRecord.of(SONG, model="m").write())
        await failed.end(song_call(), "answer 422")
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
    async def test(failed: FailedJobs, jobs: KeyValue) -> None:
        if was_deleted:
            await jobs.create(JOB, JobRecord.of(SONG).write())
            await jobs.delete(JOB)
        call = song_call()
        await failed.end(call, "answer 422")
        record = await read(jobs)
        assert (record.state, record.key) == (JobState.FAILED, "a.mp3")
        assert record.trace == trace_of(call.event)

    run(bus_stack, test)


def test_a_record_that_cannot_be_read_is_replaced(bus_stack: Stack) -> None:
    async def test(failed: FailedJobs, jobs: KeyValue) -> None:
        await jobs.create(JOB, b"no JSON")
        await failed.end(song_call(), "answer 422")
        assert (await read(jobs)).state == JobState.FAILED

    run(bus_stack, test)


@pytest.mark.parametrize("state", [JobState.DONE, JobState.CANCELLED, JobState.SUPERSEDED])
def test_a_finished_job_stays_as_it_is(bus_stack: Stack, state: JobState) -> None:
    async def test(failed: FailedJobs, jobs: KeyValue) -> None:
        finished = JobRecord.of(SONG)
        finished.state = state
        await jobs.create(JOB, finished.write())
        await failed.end(song_call(), "answer 422")
        assert await read(jobs) == finished

    run(bus_stack, test)


def test_webhooks_and_the_callback_are_informed(bus_stack: Stack) -> None:
    async def test(failed: FailedJobs, jobs: KeyValue) -> None:
        await failed.end(song_call(CALLBACK), "answer 422")
        record = await read(jobs)
        messages = published(bus_stack)
        assert [message.callback for message, _ in messages] == ["", CALLBACK]
        for _, failure in messages:
            assert failure.problem == record.problem
            assert (failure.finished, failure.trace) == (record.finished, record.trace)

    run(bus_stack, test)


@pytest.mark.parametrize("callback", ["", "https://a.example/hook", "*", "c" * 31])
def test_an_invalid_callback_gets_no_message(bus_stack: Stack, callback: str) -> None:
    async def test(failed: FailedJobs, jobs: KeyValue) -> None:
        await failed.end(song_call(callback), "answer 422")
        assert [message.callback for message, _ in published(bus_stack)] == [""]

    run(bus_stack, test)


def test_a_second_time_publishes_nothing_new(bus_stack: Stack) -> None:
    """The bridge may be killed before it has removed the message from the queue."""

    async def test(failed: FailedJobs, jobs: KeyValue) -> None:
        for _ in range(2):
            await failed.end(song_call(CALLBACK), "answer 422")
        assert len(published(bus_stack)) == 2

    run(bus_stack, test)


def test_each_callback_of_one_job_gets_a_message(bus_stack: Stack) -> None:
    async def test(failed: FailedJobs, jobs: KeyValue) -> None:
        for callback in (CALLBACK, "d" * 32):
            await failed.end(song_call(callback), "answer 422")
        callbacks = [message.callback for message, _ in published(bus_stack)]
        assert sorted(callbacks) == ["", CALLBACK, "d" * 32]

    run(bus_stack, test)


@pytest.mark.parametrize("state", [JobState.DONE, JobState.FAILED, JobState.CANCELLED])
def test_of_a_job_that_has_ended_otherwise_only_the_callback_gets_a_message(
    bus_stack: Stack, state: JobState
) -> None:
    async def test(failed: FailedJobs, jobs: KeyValue) -> None:
        finished = JobRecord.of(SONG)
        finished.state, finished.finished = state, finished.created
        await jobs.create(JOB, finished.write())
        await failed.end(song_call(CALLBACK), "answer 422")
        [(message, failure)] = published(bus_stack)
        assert message.callback == CALLBACK
        assert failure.problem["detail"].startswith("answer 422; ")

    run(bus_stack, test)


def test_a_delivery_has_no_job_record(bus_stack: Stack) -> None:
    async def test(failed: FailedJobs, jobs: KeyValue) -> None:
        call = delivery_call(read_delivery(json.dumps(DELIVERY).encode()))
        await failed.end(call, "answer 422")
        assert (await jobs.status()).values == 0

    run(bus_stack, test)
