"""The bridge: messages on the bus become requests to functions, and their answers decide.

Acknowledged on 2xx; again later on 408, 425, 429, 5xx and lost connections (Retry-After
honoured); a dead letter for every other answer and for what failed too often. A separation is one
request for as long as it takes: the message is kept in progress meanwhile.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

import aiohttp
from nats.aio.client import Client
from nats.js.kv import KeyValue

from microdemucs import bus, logs
from microdemucs.events import MalformedMessage
from microdemucs.jobs import song_digest
from minio_events.backoff import Backoff
from minio_events.bus_setup import NOTIFIED
from minio_events.daemon import bucket, serve
from minio_events.dead_letters import dead_letter, is_replayed
from minio_events.dedup import Deduplicator
from minio_events.failed_jobs import FailedJobs
from minio_events.forward import Accepted, Undeliverable, Verdict, post
from minio_events.keyed_lock import KeyedLock
from minio_events.pull import InFlight, PullConsumer
from minio_events.routing import FunctionCall, delivery_call, result_calls, trace_of, waiting_calls
from minio_events.settings import BridgeSettings

log = logging.getLogger(__name__)


class Route:
    """One consumer's messages on their way to one function."""

    def __init__(
        self,
        kind: str,
        url: str,
        pull: PullConsumer,
        calls: Callable[[InFlight], list[FunctionCall]],
        most_attempts: int,
    ) -> None:
        self.kind = kind
        self.url = url
        self.pull = pull
        self.calls = calls
        self.seen = Deduplicator()
        self.attempts = Backoff(most_attempts)
        self.turns = KeyedLock()


class Bridge:
    """All routes of one deployment, over one connection each to the bus and to the functions."""

    def __init__(
        self, client: Client, session: aiohttp.ClientSession, given_up: FailedJobs, told: KeyValue
    ) -> None:
        self._client = client
        self._session = session
        self._given_up = given_up
        self._told = told

    async def run(self, routes: list[Route]) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as group:
            for route in routes:
                group.create_task(route.pull.run(partial(self._go, route)))

    async def _go(self, route: Route, held: InFlight) -> None:
        number = held.msg.metadata.sequence.stream
        try:
            calls = route.calls(held)
        except MalformedMessage as error:
            await self._give_up(route, held, None, f"malformed: {error}")
            return
        for call in calls:
            if is_replayed(held.msg):
                route.seen.set_owner(call.same, number)
            if route.seen.is_duplicate(call.same, number):
                continue
            async with route.turns.of(call.turn, route.pull.parked):
                verdict = await post(self._session, route.url, call.event)
            with logs.context(trace=trace_of(call.event), **_job(route, call)):
                if not await self._judged(route, held, call, verdict):
                    return
        await held.msg.ack()
        route.attempts.forget(number)

    async def _judged(
        self, route: Route, held: InFlight, call: FunctionCall, verdict: Verdict
    ) -> bool:
        """Act on `verdict`; whether the message may go on to its next call or be done."""
        number = held.msg.metadata.sequence.stream
        about = {"route": route.kind, "subject": call.event["subject"], "id": call.event["id"]}
        if isinstance(verdict, Accepted):
            log.info("delivered", extra=about)
            if route.kind == "results" and call.song:
                song_key = call.song.key.rsplit("/", 1)[0]
                await self._told.put(song_digest(song_key), call.song.etag.encode())
            return True
        if isinstance(verdict, Undeliverable):
            await self._give_up(route, held, call, verdict.reason)
            return False
        delay = route.attempts.next_delay(number, verdict)
        if delay is None:
            await self._give_up(route, held, call, verdict.reason)
        else:
            log.warning("again later", extra=about | {"reason": verdict.reason, "after": delay})
            await held.msg.nak(delay)
        return False

    async def _give_up(
        self, route: Route, held: InFlight, call: FunctionCall | None, reason: str
    ) -> None:
        number = held.msg.metadata.sequence.stream
        about = str(number)
        if call:
            about = call.job if route.kind == "songs" else call.turn
        await dead_letter(self._client, route.kind, about, held.msg, reason, held.tries)
        log.error("given up", extra={"route": route.kind, "about": about, "reason": reason})
        if call and route.kind == "songs":
            await self._given_up(call, reason)
        await held.msg.ack()
        route.attempts.forget(number)


def _job(route: Route, call: FunctionCall) -> dict[str, str]:
    return {"job": call.job} if route.kind == "songs" else {}


async def bridge(settings: BridgeSettings) -> None:
    """Run until SIGTERM; then hand back what is in work. Raises SystemExit with what to do."""

    async def work(client: Client) -> None:
        jobs, told = await bucket(client, bus.JOBS), await bucket(client, NOTIFIED)
        timeout = aiohttp.ClientTimeout(total=settings.request_seconds, sock_connect=5)
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=20)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            await Bridge(client, session, FailedJobs(jobs), told).run(_routes(client, settings))

    await serve("bridge", settings.bus, work)


def _routes(client: Client, settings: BridgeSettings) -> list[Route]:
    return [
        Route(
            "songs",
            settings.separate_url,
            PullConsumer(client, bus.SONGS, "separate", settings.separate_concurrency),
            lambda held: waiting_calls(held.msg.subject, held.msg.data, settings.songs),
            settings.max_attempts,
        ),
        Route(
            "results",
            settings.sink_url,
            PullConsumer(client, bus.STEMS, "results", settings.sink_concurrency),
            lambda held: result_calls(held.msg.subject, held.msg.data, settings.extensions),
            settings.max_attempts,
        ),
        Route(
            "deliveries",
            settings.notify_url,
            PullConsumer(client, bus.DELIVERIES, "deliveries", settings.delivery_concurrency),
            lambda held: [delivery_call(held.msg.data, held.tries)],
            settings.max_attempts,
        ),
    ]
