"""The intake: each song that arrives becomes a waiting job."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client

from microdemucs.entries import read_entries
from microdemucs.jobs import JobRecord, JobState, job_id
from microdemucs.problems import now
from testing.stack import Stack
from testing.waiting import wait_until
from tests.integration.minio_events.bridge_process import (
    job_record,
    new_song,
    notify,
    publish,
    running_bridge,
)
from tests.integration.minio_events.function_server import FunctionServer


def handled(stack: Stack) -> None:
    """Run the intake until it has acknowledged everything."""
    stack.start("intake")
    wait_until(lambda: stack.logged("intake started"), 30)
    wait_until(lambda: stack.is_idle(consumer="intake"))


def test_a_new_song_is_a_waiting_job(bus_stack: Stack) -> None:
    song = new_song("dir/a ü.mp3")
    notify(bus_stack, song, song, request_id="r1")
    handled(bus_stack)
    record = job_record(bus_stack, song)
    assert (record.state, record.key, record.etag) == (JobState.WAITING, song.key, "e1")


def test_the_record_has_the_trace_of_the_request(bus_stack: Stack) -> None:
    song = new_song("a.mp3")
    with FunctionServer() as separate, running_bridge(bus_stack, separate):
        notify(bus_stack, song, song, request_id="r1")
        wait_until(lambda: separate.requests and bus_stack.is_idle(consumer="intake"))
        assert job_record(bus_stack, song).trace == separate.requests[0].trace


def test_an_existing_record_stays(bus_stack: Stack) -> None:
    song = new_song("a.mp3")

    async def write(client: Client) -> None:
        jobs = await client.jetstream().key_value("jobs")
        record = JobRecord.of(song)
        record.state = JobState.DONE
        await jobs.put(record.id, record.write())

    bus_stack.on_bus("tests", write)
    notify(bus_stack, song)
    handled(bus_stack)
    assert job_record(bus_stack, song).state == JobState.DONE


@pytest.mark.parametrize("value", [b"{}", b"\xff", b"[" * 100_000])
def test_a_record_that_cannot_be_read_is_replaced(bus_stack: Stack, value: bytes) -> None:
    song = new_song("a.mp3")

    async def write(client: Client) -> None:
        jobs = await client.jetstream().key_value("jobs")
        await jobs.put(job_id(song), value)

    bus_stack.on_bus("tests", write)
    notify(bus_stack, song)
    handled(bus_stack)
    assert job_record(bus_stack, song).state == JobState.WAITING


BEFORE, AFTER = "2000-01-01T00:00:00.000Z", "2999-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"state": JobState.CANCELLED, "finished": BEFORE}, JobState.WAITING),
        ({"state": JobState.FAILED, "finished": BEFORE}, JobState.WAITING),
        ({"state": JobState.SUPERSEDED, "finished": BEFORE}, JobState.WAITING),
        ({"state": JobState.CANCELLED, "finished": AFTER}, JobState.CANCELLED),
        ({"state": JobState.DONE, "finished": BEFORE}, JobState.DONE),
        ({"state": JobState.DONE, "finished": BEFORE, "removed": BEFORE}, JobState.WAITING),
        ({"state": JobState.RUNNING}, JobState.RUNNING),
    ],
)
def test_a_song_that_is_sent_again_waits_again(
    bus_stack: Stack, changes: dict[str, Any], expected: JobState
) -> None:
    song = replace(new_song("a.mp3"), time=now())
    earlier = msgspec.structs.replace(JobRecord.of(song), created=BEFORE, **changes)

    async def write(client: Client) -> None:
        await (await client.jetstream().key_value("jobs")).put(earlier.id, earlier.write())

    bus_stack.on_bus("tests", write)
    notify(bus_stack, song)
    handled(bus_stack)
    record = job_record(bus_stack, song)
    assert record.state == expected
    assert record.created == (song.time if expected == JobState.WAITING else BEFORE)


def test_messages_that_name_no_new_song_are_acknowledged(bus_stack: Stack) -> None:
    publish(
        bus_stack,
        ("minio.songs", b"no JSON"),
        ("separation.range", b"{}"),
        ("separation.requeue", b"{}"),
    )
    notify(bus_stack, new_song("cover.jpg"), new_song("last.mp3"))
    handled(bus_stack)

    async def keys(client: Client) -> list[str]:
        return [entry.key async for entry in read_entries(client, "jobs")]

    assert bus_stack.on_bus("tests", keys) == [job_id(new_song("last.mp3"))]
