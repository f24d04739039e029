"""The bus client against a NATS server of its own, which a test may kill."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nats
import pytest

from local.ports import free_port
from microdemucs.bus import JOBS, WEBHOOKS, Bus, Entry, Message, RevisionConflict
from microdemucs.problems import RetryLater
from microdemucs.settings import BusSettings
from minio_events.bus_setup import provision_bus
from testing.waiting import wait_until


class Server(NamedTuple):
    process: subprocess.Popen[bytes]
    url: str


def start(port: int, folder: Path) -> Server:
    binary = Path(sys.executable).parent / "nats-server"
    command = [str(binary), "-js", "-sd", str(folder), "-a", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    return Server(process, f"nats://127.0.0.1:{port}")


def stop(server: Server) -> None:
    server.process.kill()
    server.process.wait()


async def provision(url: str) -> None:
    async def ignore(_: Exception) -> None:
        """The server is not up yet."""

    client = await nats.connect(
        url, reconnect_time_wait=0.05, max_reconnect_attempts=200, error_cb=ignore
    )
    await provision_bus(client)
    await client.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = start(free_port(), tmp_path)
    try:
        asyncio.run(provision(running.url))
        yield running
    finally:
        stop(running)


@pytest.fixture
def bus(server: Server) -> Iterator[Bus]:
    bus = connect(server)
    yield bus
    bus.close()


def connect(server: Server) -> Bus:
    return Bus(BusSettings(server.url, "", ""), "test")


def test_an_entry_is_read_with_its_revision(bus: Bus) -> None:
    revision = bus.put(JOBS, "a", b"1")
    assert bus.get(JOBS, "a") == Entry("a", b"1", revision)
    assert bus.get(JOBS, "b") is None


def test_a_key_is_created_once(bus: Bus) -> None:
    bus.create(JOBS, "a", b"1")
    with pytest.raises(RevisionConflict):
        bus.create(JOBS, "a", b"2")
    assert bus.put(JOBS, "a", b"3") > 1


def test_an_update_needs_the_latest_revision(bus: Bus) -> None:
    first = bus.put(JOBS, "a", b"1")
    second = bus.update(JOBS, "a", b"2", first)
    with pytest.raises(RevisionConflict):
        bus.update(JOBS, "a", b"3", first)
    assert bus.get(JOBS, "a") == Entry("a", b"2", second)


def test_a_deleted_key_can_be_created_again(bus: Bus) -> None:
    bus.put(JOBS, "a", b"1")
    bus.delete(JOBS, "a")
    bus.delete(JOBS, "a")
    assert bus.get(JOBS, "a") is None
    bus.create(JOBS, "a", b"2")


def test_entries_are_chosen_by_a_pattern(bus: Bus) -> None:
    for key in ("a", "b", "callback.c"):
        bus.put(JOBS, key, key.encode())
    assert {entry.key for entry in bus.entries(JOBS, "*")} == {"a", "b"}
    assert {entry.key for entry in bus.entries(JOBS)} == {"a", "b", "callback.c"}


def test_a_message_with_the_same_id_is_published_once(bus: Bus, server: Server) -> None:
    for _ in range(3):
        bus.publish("minio.songs", b"{}", "same-id")

    async def count() -> int:
        client = await nats.connect(server.url)
        state = (await client.jetstream().stream_info("SONGS")).state
        await client.close()
        return state.messages

    assert asyncio.run(count()) == 1


def test_a_watch_delivers_existing_entries_and_then_changes(bus: Bus) -> None:
    bus.put(JOBS, "a", b"1")
    seen: list[tuple[str, bytes | None]] = []
    caught_up = threading.Event()
    bus.watch(JOBS, lambda entry: seen.append((entry.key, entry.value)), caught_up)
    assert caught_up.wait(10)
    assert seen == [("a", b"1")]
    bus.put(JOBS, "b", b"2")
    bus.delete(JOBS, "a")
    wait_until(lambda: len(seen) == 3)
    assert seen[1:] == [("b", b"2"), ("a", None)]


def test_a_watch_of_an_empty_bucket_has_caught_up(bus: Bus) -> None:
    caught_up = threading.Event()
    bus.watch(JOBS, print, caught_up)
    assert caught_up.wait(10)


def test_a_watch_goes_on_after_the_server_was_restarted(
    bus: Bus, server: Server, tmp_path: Path
) -> None:
    seen: list[str] = []
    caught_up = threading.Event()
    bus.watch(JOBS, lambda entry: seen.append(entry.key), caught_up)
    assert caught_up.wait(10)
    stop(server)
    wait_until(lambda: not bus.is_up, 30, "the bus notices that the server is gone")
    again = start(int(server.url.rsplit(":", 1)[1]), tmp_path)
    try:
        wait_until(lambda: bus.is_up, 30)
        bus.put(JOBS, "later", b"1")
        wait_until(lambda: "later" in seen, 30)
    finally:
        stop(again)


def test_a_bus_that_is_away_is_a_temporary_error(bus: Bus, server: Server) -> None:
    bus.put(JOBS, "a", b"1")
    stop(server)
    with pytest.raises(RetryLater) as error:
        bus.get(JOBS, "a")
    assert error.value.kind == "bus-away"


def test_sending_is_without_promise(bus: Bus, server: Server) -> None:
    bus.put(JOBS, "a", b"1")
    stop(server)
    wait_until(lambda: not bus.is_up)
    bus.send("logs.test.info", b"dropped")


def test_a_bus_that_is_closed_while_it_connects_leaves_nothing_behind(server: Server) -> None:
    for moment in range(40):  # 10 ms in steps of 0.25 ms: every phase of connecting
        bus = connect(server)
        time.sleep(moment / 4000)
        bus.close()
        assert bus._loop.is_closed()
        assert not asyncio.all_tasks(bus._loop)
        assert bus._client.is_closed
        assert not bus.is_up


def test_a_closed_bus_is_away(server: Server) -> None:
    bus = connect(server)
    bus.close()
    bus.send("logs.test.info", b"dropped")
    with pytest.raises(RetryLater):
        bus.get(JOBS, "a")
    with pytest.raises(RetryLater):
        bus.watch(JOBS, print, threading.Event())
    bus.close()


@pytest.mark.parametrize(
    "key", ["", "a b", "*", ">", "..", "a..b", ".a", "a.", "a\n", "ä", "a\r\nPUB"]
)
def test_what_no_key_can_be_is_no_entry(bus: Bus, key: str) -> None:
    assert bus.get(JOBS, key) is None
    with pytest.raises(ValueError, match="not a key"):
        bus.put(JOBS, key, b"value")


def test_an_entry_that_changed_is_not_deleted(bus: Bus) -> None:
    first = bus.put(JOBS, "a", b"first")
    second = bus.put(JOBS, "a", b"second")
    with pytest.raises(RevisionConflict):
        bus.delete(JOBS, "a", first)
    assert bus.get(JOBS, "a") == Entry("a", b"second", second)
    bus.delete(JOBS, "a", second)
    assert bus.get(JOBS, "a") is None


def test_a_removed_key_leaves_no_message(bus: Bus) -> None:
    bus.put(WEBHOOKS, "a", b"1")
    bus.put(WEBHOOKS, "b", b"2")
    bus.remove(WEBHOOKS, "a")
    assert bus.get(WEBHOOKS, "a") is None
    wait_until(lambda: (bus.count(WEBHOOKS, "*"), bus.count(WEBHOOKS, "a")) == (1, 0))
    assert bus.create(WEBHOOKS, "a", b"3")


def test_a_removed_key_can_be_created_again_at_once(bus: Bus) -> None:
    bus.put(WEBHOOKS, "a", b"1")
    bus.remove(WEBHOOKS, "a")
    revision = bus.create(WEBHOOKS, "a", b"2")
    assert bus.get(WEBHOOKS, "a") == Entry("a", b"2", revision)


def test_removing_a_key_that_does_not_exist_leaves_no_message(bus: Bus) -> None:
    bus.put(WEBHOOKS, "b", b"2")
    bus.remove(WEBHOOKS, "a")
    wait_until(lambda: bus.count(WEBHOOKS, "*") == 1)


def test_a_key_that_was_created_or_updated_with_a_time_limit_vanishes(bus: Bus) -> None:
    first = bus.create(WEBHOOKS, "a", b"1", ttl=60)
    with pytest.raises(RevisionConflict):
        bus.create(WEBHOOKS, "a", b"2", ttl=60)
    second = bus.update(WEBHOOKS, "a", b"2", first, ttl=60)
    assert bus.get(WEBHOOKS, "a") == Entry("a", b"2", second)
    third = bus.update(WEBHOOKS, "a", b"3", second, ttl=1)
    bus.create(WEBHOOKS, "b", b"1", ttl=1)
    wait_until(lambda: bus.get(WEBHOOKS, "a") is None and bus.get(WEBHOOKS, "b") is None)
    with pytest.raises(RevisionConflict):
        bus.update(WEBHOOKS, "a", b"4", third)


def test_an_update_without_a_time_limit_takes_it_away(bus: Bus) -> None:
    bus.update(WEBHOOKS, "a", b"2", bus.create(WEBHOOKS, "a", b"1", ttl=3))
    bus.create(WEBHOOKS, "b", b"1", ttl=4)
    wait_until(lambda: bus.get(WEBHOOKS, "b") is None)
    assert bus.get(WEBHOOKS, "a") is not None


def test_a_key_with_a_time_limit_vanishes(bus: Bus) -> None:
    bus.put(WEBHOOKS, "callback.a", b"1", ttl=5)
    bus.put(WEBHOOKS, "callback.b", b"1", ttl=60)
    assert bus.get(WEBHOOKS, "callback.a") is not None
    wait_until(lambda: bus.get(WEBHOOKS, "callback.a") is None)
    assert bus.count(WEBHOOKS, "callback.*") == 1


def test_changes_are_the_newest_entries_after_a_revision(bus: Bus) -> None:
    first = bus.put(JOBS, "a", b"1")
    bus.put(JOBS, "b", b"2")
    third = bus.put(JOBS, "b", b"3")
    assert bus.changes(JOBS, "*", 0) == [Entry("a", b"1", first), Entry("b", b"3", third)]
    assert bus.changes(JOBS, "*", first) == [Entry("b", b"3", third)]
    assert bus.changes(JOBS, "*", third) == []


def test_changes_contain_markers_of_deletions_and_only_the_keys_of_the_pattern(bus: Bus) -> None:
    bus.put(WEBHOOKS, "callback.c", b"1")
    bus.put(WEBHOOKS, "a", b"1")
    bus.delete(WEBHOOKS, "a")
    assert [entry[:2] for entry in bus.changes(WEBHOOKS, "*", 0)] == [("a", None)]


def test_changes_of_a_bucket_that_does_not_exist_are_asked_for_later(bus: Bus) -> None:
    with pytest.raises(RetryLater):
        bus.changes("nowhere", "*", 0)


def test_many_messages_are_all_published_once(bus: Bus) -> None:
    messages = [Message(f"deliveries.new.r.{n}", b"x", f"msg_{n}") for n in range(700)]
    bus.publish_all(messages)
    bus.publish_all(messages)

    async def count() -> int:
        client = await nats.connect(bus._settings.url)
        try:
            return (await client.jetstream().stream_info("OUTBOX")).state.messages
        finally:
            await client.close()

    assert asyncio.run(count()) == 700
