"""Streams, consumers and key-value buckets on a real bus."""

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import KeyValueConfig
from nats.js.errors import NotFoundError

from microdemucs.paths import ROOT
from minio_events.bus_setup import provision_bus
from testing.stack import Stack
from tests.integration.minio_events.connections import connected

EVERYTHING = [
    *(f"stream {name}" for name in ("SONGS", "STEMS", "DELIVERIES", "DEAD")),
    *("consumer SONGS.separate", "consumer SONGS.intake"),
    *("consumer STEMS.results", "consumer DELIVERIES.deliveries"),
    *(f"bucket {name}" for name in ("jobs", "cancels", "leases", "results", "webhooks")),
    *("bucket idempotency", "bucket notified"),
]


def run(stack: Stack, test: Callable[[Client], Awaitable[None]]) -> None:
    async def main() -> None:
        async with connected(stack, "provision") as client:
            await test(client)

    asyncio.run(main())


def test_an_empty_bus_gets_everything(unprovisioned_stack: Stack) -> None:
    async def test(client: Client) -> None:
        assert await provision_bus(client) == EVERYTHING

    run(unprovisioned_stack, test)


def test_a_second_time_changes_nothing(bus_stack: Stack) -> None:
    async def test(client: Client) -> None:
        assert await provision_bus(client) == []

    run(bus_stack, test)


def test_deleted_and_changed_parts_are_repaired(bus_stack: Stack) -> None:
    async def test(client: Client) -> None:
        js = client.jetstream()
        await js.delete_consumer("SONGS", "intake")
        stream = (await js.stream_info("STEMS")).config
        await js.update_stream(stream.evolve(max_age=3600))
        consumer = (await js.consumer_info("STEMS", "results")).config
        await js.add_consumer("STEMS", consumer.evolve(ack_wait=5))
        bucket = (await js.stream_info("KV_notified")).config
        await js.update_stream(bucket.evolve(max_age=3600))
        assert await provision_bus(client) == [
            *("stream STEMS", "consumer SONGS.intake", "consumer STEMS.results"),
            "bucket notified",
        ]
        assert await provision_bus(client) == []

    run(bus_stack, test)


def test_a_stream_of_the_previous_release_accepts_requeued_songs(bus_stack: Stack) -> None:
    async def test(client: Client) -> None:
        js = client.jetstream()
        stream = (await js.stream_info("SONGS")).config
        old = ["minio.songs", "separation.range", "separation.again"]
        await js.update_stream(stream.evolve(subjects=old))
        assert await provision_bus(client) == ["stream SONGS"]
        subjects = (await js.stream_info("SONGS")).config.subjects or []
        assert {*old, "separation.requeue"} == set(subjects)

    run(bus_stack, test)


@pytest.fixture
def previous_stack(unprovisioned_stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """A stack whose user provision may also write the previous release's bucket `told`."""
    config = tmp_path / "nats.conf"
    text = (ROOT / "minio-events" / "nats.conf").read_text()
    assert text.count('"$JS.API.>"') == 1
    config.write_text(text.replace('"$JS.API.>"', '"$JS.API.>", "$KV.told.>"'))
    unprovisioned_stack.kill("nats")
    server = subprocess.Popen(
        ["nats-server", "-c", str(config)],
        env=os.environ | unprovisioned_stack.environment.variables,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield unprovisioned_stack
    finally:
        server.kill()
        server.wait()


async def entries(js: JetStreamContext, bucket: str) -> dict[str, bytes | None]:
    opened = await js.key_value(bucket)
    return {key: (await opened.get(key)).value for key in await opened.keys()}


def test_the_bucket_told_becomes_notified(previous_stack: Stack) -> None:
    async def test(client: Client) -> None:
        js = client.jetstream()
        old_bucket = await js.create_key_value(KeyValueConfig(bucket="told", direct=True))
        for key, value in (("a", b"old"), ("b", b"e1"), ("a", b"e0"), ("c", b"e2"), ("d", b"e3")):
            await old_bucket.put(key, value)
        await old_bucket.delete("d")
        assert await provision_bus(client) == [*EVERYTHING, "bucket told"]
        assert await entries(js, "notified") == {"a": b"e0", "b": b"e1", "c": b"e2"}
        with pytest.raises(NotFoundError):
            await js.stream_info("KV_told")
        assert await provision_bus(client) == []

    run(previous_stack, test)


def test_an_entry_that_is_already_in_notified_stays(previous_stack: Stack) -> None:
    async def test(client: Client) -> None:
        js = client.jetstream()
        await provision_bus(client)
        await (await js.key_value("notified")).put("a", b"newer")
        old_bucket = await js.create_key_value(KeyValueConfig(bucket="told", direct=True))
        await old_bucket.put("a", b"older")
        await old_bucket.put("b", b"e1")
        assert await provision_bus(client) == ["bucket told"]
        assert await entries(js, "notified") == {"a": b"newer", "b": b"e1"}

    run(previous_stack, test)


def test_an_empty_bucket_told_is_deleted(previous_stack: Stack) -> None:
    async def test(client: Client) -> None:
        js = client.jetstream()
        await js.create_key_value(KeyValueConfig(bucket="told", direct=True))
        assert await provision_bus(client) == [*EVERYTHING, "bucket told"]
        assert await provision_bus(client) == []

    run(previous_stack, test)
