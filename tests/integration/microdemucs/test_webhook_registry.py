"""The view of all webhooks, on a real bus."""

import uuid
from collections.abc import Iterator

import pytest
from nats.aio.client import Client

from microdemucs.bus import WEBHOOKS, Bus
from microdemucs.webhook_registry import WebhookRegistry
from microdemucs.webhooks import WebhookRecord, callback_key
from testing.stack import Stack
from testing.waiting import wait_until


@pytest.fixture
def upload(stack: Stack) -> Iterator[Bus]:
    """The bus with the rights of upload; all webhooks are removed at the end."""
    bus = Bus(stack.bus_settings("upload"), "test")
    yield bus
    for entry in bus.changes(WEBHOOKS, ">", 0):
        bus.remove(WEBHOOKS, entry.key)
    wait_until(lambda: bus.count(WEBHOOKS, ">") == 0, what="the bucket is empty")
    bus.close()


@pytest.fixture
def registry(stack: Stack) -> Iterator[WebhookRegistry]:
    """The registry with the rights of notify."""
    bus = Bus(stack.bus_settings("notify"), "test")
    yield WebhookRegistry(bus)
    bus.close()


def register(bus: Bus, url: str = "https://x.example/") -> str:
    id_ = uuid.uuid4().hex
    bus.put(WEBHOOKS, id_, WebhookRecord(id=id_, url=url, events=[], secret="").write())
    return id_


def ids(registry: WebhookRegistry) -> set[str]:
    return {webhook.id for webhook in registry.webhooks()}


def messages(stack: Stack) -> int:
    async def read(client: Client) -> int:
        return (await client.jetstream().stream_info("KV_webhooks")).state.messages

    return int(stack.on_bus("upload", read))


def test_without_webhooks_it_is_empty(registry: WebhookRegistry) -> None:
    assert registry.webhooks() == []


def test_a_webhook_is_there_as_soon_as_it_is_registered(
    registry: WebhookRegistry, upload: Bus
) -> None:
    for _ in range(20):
        assert register(upload) in ids(registry)


def test_a_changed_webhook_has_its_new_url(registry: WebhookRegistry, upload: Bus) -> None:
    id_ = register(upload)
    ids(registry)
    changed = WebhookRecord(id=id_, url="https://y.example/", events=[], secret="")
    upload.put(WEBHOOKS, id_, changed.write())
    assert registry.webhooks() == [changed]


def test_a_removed_webhook_is_gone_at_once(registry: WebhookRegistry, upload: Bus) -> None:
    kept, removed = register(upload), register(upload)
    assert ids(registry) == {kept, removed}
    upload.remove(WEBHOOKS, removed)
    assert ids(registry) == {kept}


def test_a_webhook_that_takes_the_place_of_a_removed_one_counts(
    stack: Stack, registry: WebhookRegistry, upload: Bus
) -> None:
    first = register(upload)
    assert ids(registry) == {first}
    upload.remove(WEBHOOKS, first)
    wait_until(lambda: messages(stack) == 0, what="the marker of the deletion is gone")
    second = register(upload)
    assert ids(registry) == {second}


def test_a_marker_of_a_deletion_removes_a_webhook(registry: WebhookRegistry, upload: Bus) -> None:
    """As earlier releases delete."""
    kept, removed = register(upload), register(upload)
    assert ids(registry) == {kept, removed}
    upload.delete(WEBHOOKS, removed)
    assert ids(registry) == {kept}


@pytest.mark.parametrize("record", [b"not json", b"[]", b"{}", b"[" * 100_000, b"\xff"])
def test_a_record_that_cannot_be_read_hides_no_other(
    record: bytes, registry: WebhookRegistry, upload: Bus
) -> None:
    upload.put(WEBHOOKS, "broken", record)
    kept = register(upload)
    assert ids(registry) == {kept}


def test_callbacks_are_no_webhooks(registry: WebhookRegistry, upload: Bus) -> None:
    upload.put(WEBHOOKS, callback_key("c1"), b"{}", ttl=60)
    assert registry.webhooks() == []


def test_more_webhooks_than_one_request_reads_are_all_there(
    registry: WebhookRegistry, upload: Bus
) -> None:
    expected = {register(upload) for _ in range(1100)}
    assert ids(registry) == expected


def test_created_and_deleted_webhooks_leave_nothing_behind(
    stack: Stack, registry: WebhookRegistry, upload: Bus
) -> None:
    before = messages(stack)
    for _ in range(300):
        upload.remove(WEBHOOKS, register(upload))
    assert registry.webhooks() == []
    wait_until(lambda: messages(stack) == 0, what="no marker of a deletion is left")
    assert before == 0
