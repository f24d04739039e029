"""The bridge: sends messages on the bus to the functions as HTTP requests.

The function's response decides. 2xx: the bridge acknowledges the message. 401 (another secret),
408, 425, 429, 5xx and lost connections: it retries with backoff and honours Retry-After. Everything
else, and a message that failed too often, becomes a dead letter. One separation is one request,
however long it takes. Songs wait in a queue for each submitter (song_route.py), deliveries in one
for each target (deliveries.py). Of several bridges one sends the songs, and one the deliveries.
"""

import logging
from collections.abc import Callable, Coroutine
from functools import partial

import aiohttp
from nats.aio.client import Client
from nats.js.kv import KeyValue

from microdemucs import bus, logs
from microdemucs.events import MalformedMessage
from microdemucs.jobs import song_digest
from minio_events.backoff import Backoff
from minio_events.bus_setup import NOTIFIED
from minio_events.cancellation import run_all
from minio_events.daemon import serve, wait_for_bucket
from minio_events.dead_letter_requests import answer_requests
from minio_events.dead_letters import dead_letter, is_replayed
from minio_events.dedup import Deduplicator
from minio_events.deliveries import Deliveries
from minio_events.delivery_queues import Limits
from minio_events.failed_jobs import FailedJobs
from minio_events.forward import Accepted, Retry, Undeliverable, Verdict, post
from minio_events.keyed_lock import KeyedLock
from minio_events.leadership import Leadership, lead
from minio_events.pull import InFlight, PullConsumer
from minio_events.routing import FunctionCall, result_calls, trace_of
from minio_events.settings import BridgeSettings
from minio_events.song_queue import SongQueue
from minio_events.song_route import SongRoute

log = logging.getLogger(__name__)

RESULTS = "results"
"""The kind of the route of results, and of their dead letters."""


class Route:
    """The way from one consumer to the function at `url`.

    `read_calls` turns a message into calls and raises MalformedMessage.
    """

    def __init__(
        self,
        kind: str,
        url: str,
        consumer: PullConsumer,
        read_calls: Callable[[InFlight], list[FunctionCall]],
        max_attempts: int,
    ) -> None:
        self.kind = kind
        self.url = url
        self.consumer = consumer
        self.read_calls = read_calls
        self.deduplicator = Deduplicator()
        self.backoff = Backoff(max_attempts)
        self.lock = KeyedLock()


class Bridge:
    """The routes of results; they share one connection to the bus and one HTTP session.

    `notified` is the key-value bucket of that name. `secret` signs the events.
    """

    def __init__(
        self,
        client: Client,
        session: aiohttp.ClientSession,
        notified: KeyValue,
        secret: str,
    ) -> None:
        self._client = client
        self._session = session
        self._notified = notified
        self._secret = secret

    async def run(self, routes: list[Route]) -> None:
        """Serve all routes until cancelled."""
        await run_all(*(route.consumer.run(partial(self._handle, route)) for route in routes))

    async def _handle(self, route: Route, message: InFlight) -> None:
        try:
            calls = route.read_calls(message)
        except MalformedMessage as error:
            await self._dead_letter(route, message, None, f"malformed: {error}")
            return
        except Exception as error:  # it would crash again each time it is redelivered
            log.exception("message cannot be read", extra={"route": route.kind})
            await self._dead_letter(route, message, None, f"malformed: {error!r}")
            return
        for call in calls:
            if is_replayed(message.msg):
                route.deduplicator.set_owner(call.deduplication_key, message.number)
            if route.deduplicator.is_duplicate(call.deduplication_key, message.number):
                continue
            async with route.lock.hold(call.concurrency_key, route.consumer.release_slot):
                verdict = await post(self._session, route.url, call.event, self._secret)
            with logs.context(trace=trace_of(call.event)):
                if not await self._act_on(verdict, route, message, call):
                    return
        await message.msg.ack()
        route.backoff.forget(message.number)

    async def _act_on(
        self, verdict: Verdict, route: Route, message: InFlight, call: FunctionCall
    ) -> bool:
        """Return whether the call succeeded; if not, retry the message or dead-letter it."""
        about = {"route": route.kind, "subject": call.event["subject"], "id": call.event["id"]}
        match verdict:
            case Accepted():
                log.info("delivered", extra=about)
                if route.kind == RESULTS and call.song:
                    song_key = call.song.key.rsplit("/", 1)[0]
                    await self._notified.put(song_digest(song_key), call.song.etag.encode())
                return True
            case Undeliverable(reason):
                await self._dead_letter(route, message, call, reason)
            case Retry(reason):
                delay = route.backoff.next_delay(message.number, verdict)
                if delay is None:
                    await self._dead_letter(route, message, call, reason)
                else:
                    log.warning("retry scheduled", extra=about | {"reason": reason, "after": delay})
                    await message.msg.nak(delay)
        return False

    async def _dead_letter(
        self, route: Route, message: InFlight, call: FunctionCall | None, reason: str
    ) -> None:
        about = call.concurrency_key if call else str(message.number)
        await dead_letter(self._client, route.kind, about, message.msg, reason, message.tries)
        log.error(
            "message dead-lettered", extra={"route": route.kind, "about": about, "reason": reason}
        )
        await message.msg.ack()
        route.backoff.forget(message.number)


async def bridge(settings: BridgeSettings) -> None:
    """Run until SIGTERM; then nack all messages in flight. Raises SystemExit with what to do."""

    async def work(client: Client) -> None:
        jobs = await wait_for_bucket(client, bus.JOBS)
        notified = await wait_for_bucket(client, NOTIFIED)
        leases = await wait_for_bucket(client, bus.LEASES)
        timeout = aiohttp.ClientTimeout(total=settings.request_seconds, sock_connect=5)
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=20)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            secret = settings.events_secret
            queue = SongQueue(client)
            limits = Limits(
                attempts=settings.delivery_concurrency,
                per_host=settings.receiver_concurrency,
                per_target=settings.target_concurrency,
            )

            def separate(leadership: Leadership) -> Coroutine[None, None, None]:
                return SongRoute(
                    client,
                    session,
                    queue,
                    FailedJobs(client, jobs),
                    leases,
                    leadership,
                    url=settings.separate_url,
                    songs=settings.songs,
                    concurrency=settings.separate_concurrency,
                    max_attempts=settings.max_attempts,
                    secret=secret,
                ).run()

            def deliver(_: Leadership) -> Coroutine[None, None, None]:
                url, most = settings.notify_url, settings.max_attempts
                return Deliveries(client, session, url, secret, limits, most).run()

            await run_all(
                Bridge(client, session, notified, secret).run(_routes(client, settings)),
                lead(client, leases, "songs", separate),
                lead(client, leases, "deliveries", deliver),
                answer_requests(client),
            )

    await serve("bridge", settings.bus, work)


def _routes(client: Client, settings: BridgeSettings) -> list[Route]:
    return [
        Route(
            RESULTS,
            settings.sink_url,
            PullConsumer(client, bus.STEMS, "results", settings.sink_concurrency),
            lambda message: result_calls(
                message.msg.subject, message.msg.data, settings.extensions
            ),
            settings.max_attempts,
        ),
    ]
