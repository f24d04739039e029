"""Streams, consumers and key-value buckets on a real bus."""

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, KeyValueConfig, RetentionPolicy
from nats.js.errors import NotFoundError

from microdemucs.paths import ROOT
from minio_events.bus_setup import provision_bus
from testing.stack import Stack
from tests.integration.minio_events.connections import connected

EVERYTHING = [
    *(f"stream {name}" for name in ("SONGS", "QUEUE", "STEMS")),
    *(f"stream {name}" for name in ("OUTBOX", "DELIVERIES", "DEAD", "ATTEMPTS")),
    *("consumer SONGS.separate", "consumer SONGS.intake"),
    "consumer STEMS.results",
    *(f"bucket {name}" for name in ("jobs", "cancels", "leases", "results", "webhooks")),
    *("bucket idempotency", "bucket notified", "entries of bucket webhooks"),
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


def test_entries_of_a_bucket_of_an_earlier_release_may_have_a_time_limit(
    unprovisioned_stack: Stack,
) -> None:
    async def test(client: Client) -> None:
        js = client.jetstream()
        subjects = ["$KV.idempotency.>"]
        await js.add_stream(name="KV_idempotency", subjects=subjects, max_msgs_per_subject=1)
        assert not (await js.stream_info("KV_idempotency")).config.allow_msg_ttl
        assert "bucket idempotency" in await provision_bus(client)
        assert (await js.stream_info("KV_idempotency")).config.allow_msg_ttl
        assert await provision_bus(client) == []

    run(unprovisioned_stack, test)


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


def test_a_stream_of_deliveries_of_the_previous_release_keeps_its_messages(
    bus_stack: Stack,
) -> None:
    async def test(client: Client) -> None:
        js = client.jetstream()
        await js.delete_stream("DELIVERIES")
        await js.add_stream(
            name="DELIVERIES", subjects=["deliveries.*"], retention=RetentionPolicy.WORK_QUEUE
        )
        await js.add_consumer("DELIVERIES", ConsumerConfig(durable_name="deliveries"))
        async with connected(bus_stack, "tests") as bridge:
            await bridge.jetstream().publish("deliveries.msg_1", b"{}")
        assert await provision_bus(client) == [
            *("stream DELIVERIES", "consumer DELIVERIES.deliveries")
        ]
        stream = await js.stream_info("DELIVERIES")
        assert (stream.state.messages, stream.state.consumer_count) == (1, 0)
        assert await provision_bus(client) == []

    run(bus_stack, test)


def test_the_bucket_of_webhooks_loses_the_markers_and_limits_callbacks_of_earlier_releases(
    unprovisioned_stack: Stack,
) -> None:
    async def test(client: Client) -> None:
        js = client.jetstream()
        await js.create_key_value(KeyValueConfig(bucket="webhooks", direct=True))
        async with connected(unprovisioned_stack, "notify") as notify:
            old = await notify.jetstream().key_value("webhooks")
            await old.put("w1", b"1")
            await old.put("w2", b"2")
            await old.delete("w2")
            await old.put("callback.c1", b"3")
        assert "entries of bucket webhooks" in await provision_bus(client)
        stored = [await js.get_msg("KV_webhooks", number) for number in (1, 5)]
        assert (await js.stream_info("KV_webhooks")).state.messages == 2
        assert [message.data for message in stored] == [b"1", b"3"]
        assert (stored[1].headers or {})["Nats-TTL"] == str(30 * 86400)
        assert await provision_bus(client) == []

    run(unprovisioned_stack, test)
