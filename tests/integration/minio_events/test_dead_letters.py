"""Dead letters in the stream DEAD."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from microdemucs.bus import STARTED_SUBJECT
from microdemucs.events import ObjectCreated, notification
from microdemucs.jobs import job_id
from minio_events import dead_letters
from minio_events.dead_letters import dead_letter, is_dead_lettered, list_dead_letters, replay
from testing.http_receiver import in_turn
from testing.stack import Stack
from testing.waiting import wait_until
from tests.integration.minio_events.bridge_process import (
    TIME,
    dead_letters_of,
    new_song,
    notify,
    publish,
    running_bridge,
)
from tests.integration.minio_events.connections import connected
from tests.integration.minio_events.function_server import FunctionServer
from tests.unit.minio_events.messages import DELIVERY, STARTED


def run(stack: Stack, test: Callable[[Client], Awaitable[None]]) -> None:
    async def main() -> None:
        async with connected(stack, "tests") as client:
            await test(client)

    asyncio.run(main())


async def bury(client: Client, about: str = "job1", body: bytes = b"{}") -> None:
    """Publish a message, read it as the bridge does, and dead-letter it."""
    await client.jetstream().publish("minio.songs", body)
    subscription = await client.jetstream().pull_subscribe_bind("separate", "SONGS")
    [msg] = await subscription.fetch(1, timeout=10)
    await dead_letter(client, "songs", about, msg, "answer 422", 3)
    await dead_letter(client, "songs", about, msg, "answer 422", 3)  # after a crash
    await msg.ack()


def test_a_dead_letter_is_stored_once_with_its_reason(bus_stack: Stack) -> None:
    async def test(client: Client) -> None:
        await bury(client, body=b"no \xff JSON")
        [letter] = await list_dead_letters(client)
        assert (letter.kind, letter.about, letter.reason) == ("songs", "job1", "answer 422")
        assert (letter.subject, letter.tries, letter.body) == ("minio.songs", 3, b"no \xff JSON")
        assert letter.time

    run(bus_stack, test)


def test_a_name_that_can_be_a_subject_token_is_one() -> None:
    assert dead_letters.subject_token("msg_1-a") == "msg_1-a"


@pytest.mark.parametrize("name", ["a.mp3/manifest.json", "a b", "*", ""])
def test_any_other_name_is_hashed(name: str) -> None:
    token = dead_letters.subject_token(name)
    assert len(token) == 32
    assert int(token, 16)


def test_only_a_stored_name_is_dead_lettered(bus_stack: Stack) -> None:
    async def test(client: Client) -> None:
        await bury(client, "a.mp3/manifest.json")
        assert await is_dead_lettered(client, "songs", "a.mp3/manifest.json")
        assert not await is_dead_lettered(client, "songs", "b.mp3/manifest.json")
        assert not await is_dead_lettered(client, "results", "a.mp3/manifest.json")

    run(bus_stack, test)


def test_a_dropped_letter_is_gone(bus_stack: Stack) -> None:
    async def test(client: Client) -> None:
        await bury(client, "job1")
        await bury(client, "job2")
        await dead_letters.drop(client, 1)
        assert [letter.about for letter in await list_dead_letters(client)] == ["job2"]
        with pytest.raises(NotFoundError):
            await dead_letters.get(client, 1)

    run(bus_stack, test)


def test_a_replayed_letter_is_back_on_its_subject_and_marked(bus_stack: Stack) -> None:
    async def test(client: Client) -> None:
        await bury(client, body=b"body")
        await replay(client, 1)
        assert await list_dead_letters(client) == []
        subscription = await client.jetstream().pull_subscribe_bind("separate", "SONGS")
        [msg] = await subscription.fetch(1, timeout=10)
        assert (msg.subject, msg.data) == ("minio.songs", b"body")
        assert dead_letters.is_replayed(msg)

    run(bus_stack, test)


def replay_all(stack: Stack) -> None:
    async def do(client: Client) -> None:
        for letter in await list_dead_letters(client):
            await replay(client, letter.number)

    stack.on_bus("tests", do)


def test_a_replayed_song_reaches_the_function_again(bus_stack: Stack) -> None:
    with FunctionServer(in_turn((422, {}))) as separate, running_bridge(bus_stack, separate):
        notify(bus_stack, new_song("a.mp3"))
        wait_until(lambda: dead_letters_of(bus_stack))
        replay_all(bus_stack)
        wait_until(lambda: len(separate.requests) == 2 and bus_stack.is_idle())
        first, second = separate.requests
        assert second.body == first.body
        assert second.headers["ce-id"] == first.headers["ce-id"]
        assert dead_letters_of(bus_stack) == []


def test_a_replayed_song_that_fails_again_is_a_dead_letter_again(bus_stack: Stack) -> None:
    responses = in_turn((422, {}), (404, {}))
    with FunctionServer(responses) as separate, running_bridge(bus_stack, separate):
        notify(bus_stack, new_song("a.mp3"))
        [first] = wait_until(lambda: dead_letters_of(bus_stack))
        replay_all(bus_stack)
        [second] = wait_until(
            lambda: [letter for letter in dead_letters_of(bus_stack) if letter != first]
        )
        assert second.reason == "answer 404"
        assert (second.about, second.body) == (first.about, first.body)
        assert first.about == job_id(new_song("a.mp3"))


def test_replayed_results_and_deliveries_reach_their_functions(bus_stack: Stack) -> None:
    manifest = ObjectCreated("stems", "a.mp3/manifest.json", 5, "m1", time=TIME)
    with (
        FunctionServer() as separate,
        FunctionServer(in_turn(*[(400, {})] * 3)) as notify_function,
        running_bridge(bus_stack, separate, notify_function),
    ):
        publish(
            bus_stack,
            ("minio.stems", notification(manifest, "r1")),
            (STARTED_SUBJECT, json.dumps(STARTED).encode()),
            ("deliveries.msg_1", json.dumps(DELIVERY).encode()),
        )
        found = wait_until(lambda: (every := dead_letters_of(bus_stack))[2:] and every)
        assert sorted(letter.kind for letter in found) == ["deliveries", "results", "results"]
        replay_all(bus_stack)
        wait_until(lambda: len(notify_function.requests) == 6)
        ids = [request.headers["ce-id"] for request in notify_function.requests]
        assert sorted(ids[:3]) == sorted(ids[3:])
        wait_until(lambda: bus_stack.is_idle("STEMS", "results"))
        assert dead_letters_of(bus_stack) == []
