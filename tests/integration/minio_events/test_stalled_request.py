"""A request to a process that stands still is let go: real bus, real HTTP requests."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import aiohttp
from cloudevents.http import CloudEvent
from nats.aio.client import Client
from nats.js.kv import KeyValue

from minio_events.forward import Accepted, Retry, Verdict, post
from minio_events.stalled_request import answer_or_stall
from testing.stack import Stack

KEY = "0123456789abcdef" * 2
GONE_S = 0.5
EVENT = CloudEvent({"type": "t", "source": "s"}, {})


class Function:
    """A server that answers a request only once it is released."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.released = asyncio.Event()
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request with 204, or notice that its client has left."""
        await reader.readuntil(b"\r\n\r\n{}")
        self.asked.set()
        leaving = asyncio.create_task(reader.read())
        release = asyncio.create_task(self.released.wait())
        await asyncio.wait({leaving, release}, return_when=asyncio.FIRST_COMPLETED)
        if leaving.done():
            self.left.set()
        release.cancel()
        leaving.cancel()
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()


def run(stack: Stack, scenario: Any, start_s: float = 600) -> Any:
    """Run `scenario` with a function, the bucket of leases, and a request to the function."""

    async def connected(client: Client) -> Any:
        leases = await client.jetstream().key_value("leases")
        function = Function()
        server = await asyncio.start_server(function.serve, "127.0.0.1")
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, aiohttp.ClientSession() as session:
            answer = answer_or_stall(
                post(session, url, EVENT, "a secret"),
                leases,
                KEY,
                gone_s=GONE_S,
                start_s=start_s,
                look_s=0.05,
            )
            return await scenario(function, leases, answer)

    return stack.on_bus("separate", connected)


def test_a_request_that_is_answered_has_that_answer(stack: Stack) -> None:
    async def scenario(
        function: Function, leases: KeyValue, answer: Coroutine[Any, Any, Verdict]
    ) -> Verdict:
        function.released.set()
        return await answer

    assert run(stack, scenario) == Accepted()


def test_a_request_whose_lease_was_taken_and_lost_is_let_go(stack: Stack) -> None:
    async def scenario(
        function: Function, leases: KeyValue, answer: Coroutine[Any, Any, Verdict]
    ) -> tuple[Verdict, bool]:
        await leases.put(KEY, b"somebody")
        request = asyncio.create_task(answer)
        await function.asked.wait()
        async with asyncio.timeout(30):
            while not request.done():  # renewed until it was seen, and then no more
                await asyncio.wait({request}, timeout=0.2)
                await leases.delete(KEY)
            await function.left.wait()
        return request.result(), function.left.is_set()

    assert run(stack, scenario) == (Retry("the process stands still"), True)


def test_a_request_whose_lease_is_renewed_is_waited_for(stack: Stack) -> None:
    async def scenario(
        function: Function, leases: KeyValue, answer: Coroutine[Any, Any, Verdict]
    ) -> Verdict:
        request = asyncio.create_task(answer)
        await function.asked.wait()
        for _ in range(10):
            await leases.put(KEY, b"somebody")
            done, _ = await asyncio.wait({request}, timeout=GONE_S / 4)
            assert not done
        function.released.set()
        return await request

    assert run(stack, scenario) == Accepted()


def test_a_request_whose_lease_is_not_taken_in_time_is_let_go(stack: Stack) -> None:
    async def scenario(
        function: Function, leases: KeyValue, answer: Coroutine[Any, Any, Verdict]
    ) -> Verdict:
        await leases.delete(KEY)
        async with asyncio.timeout(30):
            verdict = await answer
            await function.left.wait()
        return verdict

    assert run(stack, scenario, start_s=0.5) == Retry("the process stands still")


def test_a_request_whose_lease_was_never_taken_is_waited_for(stack: Stack) -> None:
    async def scenario(
        function: Function, leases: KeyValue, answer: Coroutine[Any, Any, Verdict]
    ) -> Verdict:
        await leases.delete(KEY)
        request = asyncio.create_task(answer)
        await function.asked.wait()
        done, _ = await asyncio.wait({request}, timeout=4 * GONE_S)
        assert not done
        function.released.set()
        return await request

    assert run(stack, scenario) == Accepted()
