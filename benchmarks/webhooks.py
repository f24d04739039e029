"""Measure how soon a healthy receiver has a result's event while others are dead, hang or are slow.

    python -m benchmarks.webhooks [--webhooks 1000] [--waiting 100000] [--results 300]

Real NATS (which syncs each write), MinIO, bridge and notify, and receivers in a process of their
own. A result is a manifest that is written to the output bucket; the clock starts when that PUT has
returned, and ends when the healthy receiver has the request. Three other webhooks get the same
events: one at a closed port, one that never answers, one that answers after 3 s. All further
webhooks are registered for failures, of which there are none. Of the deliveries that wait, one half
waits for its next attempt, and the other half is due: at the dead receiver three fifths, a fifth
each at the hanging and the slow one.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import Process, Queue
from pathlib import Path
from queue import Empty
from typing import Any, TypeAlias

import psutil
import uvloop
from aiohttp import web
from nats.aio.client import Client

from benchmarks.percentiles import percentile
from local.ports import free_port
from microdemucs import store
from microdemucs.bucket import Bucket
from microdemucs.bus import DUE_SUBJECT, NEW_SUBJECT, WAITING_SUBJECT, WEBHOOKS, Bus
from microdemucs.events import COMPLETED, FAILED
from microdemucs.manifest import Manifest, ModelInfo, SeparatedSong, StemEntry
from microdemucs.messages import Delivery
from microdemucs.problems import now
from microdemucs.webhooks import WebhookRecord
from testing.stack import Stack, running_stack
from testing.waiting import wait_until

Arrivals: TypeAlias = "Queue[tuple[str, float]]"
"""The job of each request to the healthy receiver, and its monotonic time."""

_SECRET = "whsec_" + "c2VjcmV0LW9mLWEtd2ViaG9vay0yNC1ieXRlcw=="
_SLOW_S = 3.0
_INTERVAL_S = 0.2
_WARM_UP = 5
_AT_ONCE = 200
_BODY_BYTES = 2000
_SHARES = {"dead": 0.6, "hanging": 0.2, "slow": 0.2}


def main() -> None:
    """Measure with nothing waiting, then with all of it; print the percentiles."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--webhooks", type=int, default=1000)
    parser.add_argument("--waiting", type=int, default=100_000)
    parser.add_argument("--results", type=int, default=300)
    arguments = parser.parse_args()
    arrivals: Arrivals = Queue()
    ports = {name: free_port() for name in ("healthy", "dead", "hanging", "slow")}
    receivers = Process(target=_receive, args=(ports, arrivals), daemon=True)
    receivers.start()
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            running_stack(Path(folder), "bridge", "notify", WEBHOOK_ALLOW_PRIVATE="yes") as stack,
        ):
            targets = _register(stack, ports, arguments.webhooks)
            print("| results | deliveries waiting | p50 ms | p99 ms | max ms |")
            print("|---|---|---|---|---|")
            _measure(stack, arrivals, arguments.results, 0)
            began = time.monotonic()
            _fill(stack, targets, ports, arguments.waiting)
            filled = time.monotonic() - began
            _measure(stack, arrivals, arguments.results, arguments.waiting)
            print(f"\nthe deliveries were put on the bus in {filled:.0f} s")
            for component in ("nats", "bridge", "notify"):
                print(f"{component}: {_resident_mb(stack, component):.0f} MB resident")
            _measure_restart(stack, arrivals)
    finally:
        receivers.terminate()
        receivers.join()


def _receive(ports: dict[str, int], arrivals: Arrivals) -> None:
    """Serve all receivers but the dead one; report each request to the healthy one."""

    async def healthy(request: web.Request) -> web.Response:
        arrived = time.monotonic()
        arrivals.put((json.loads(await request.read())["data"]["job"], arrived))
        return web.Response(status=204)

    async def hanging(_: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response(status=204)

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(_SLOW_S)
        return web.Response(status=204)

    async def serve() -> None:
        for name, handle in {"healthy": healthy, "hanging": hanging, "slow": slow}.items():
            app = web.Application()
            app.router.add_post("/", handle)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", ports[name], backlog=1024).start()
        await asyncio.Event().wait()

    uvloop.run(serve())


def _register(stack: Stack, ports: dict[str, int], number: int) -> dict[str, str]:
    """Register the webhooks; return the ids of the four that get completed songs."""
    bus = Bus(stack.bus_settings("upload"), "bench")
    urls = [f"http://127.0.0.1:{port}/" for port in ports.values()]
    urls += [f"http://127.0.0.1:{ports['healthy']}/{n}" for n in range(number - len(ports))]
    ids = []
    for position, url in enumerate(urls):
        id_ = uuid.uuid4().hex
        events = [COMPLETED] if position < len(ports) else [FAILED]
        webhook = WebhookRecord(id=id_, url=url, events=events, secret=_SECRET, created=now())
        bus.create(WEBHOOKS, id_, webhook.write())
        ids.append(id_)
    bus.close()
    return dict(zip(ports, ids, strict=False))


def _fill(stack: Stack, targets: dict[str, str], ports: dict[str, int], number: int) -> None:
    """Put the deliveries that wait on the bus."""

    async def publish(client: Client) -> None:
        js = client.jetstream()
        later = f"@at {(datetime.now(UTC) + timedelta(hours=5)).isoformat()}"

        async def put(position: int, name: str) -> None:
            delivery = Delivery(
                delivery=f"msg_{position}",
                target=targets[name],
                receiver=f"http://127.0.0.1:{ports[name]}",
                body=json.dumps({"data": {"job": "", "text": "x" * _BODY_BYTES}}),
                job="j",
                created=now(),
            )
            if position % 2:
                await js.publish(delivery.subject, delivery.write(), timeout=60)
            else:
                headers = {
                    "Nats-Schedule": later,
                    "Nats-Schedule-Target": DUE_SUBJECT
                    + delivery.subject.removeprefix(NEW_SUBJECT),
                }
                subject = f"{WAITING_SUBJECT}.bench-{position}"
                await js.publish(subject, delivery.write(), headers=headers, timeout=60)

        names = [name for name, share in _SHARES.items() for _ in range(round(share * 10))]
        for start in range(0, number, _AT_ONCE):
            batch = range(start, min(start + _AT_ONCE, number))
            await asyncio.gather(*(put(p, names[p // 2 % len(names)]) for p in batch))

    stack.on_bus("tests", publish)


def _measure(stack: Stack, arrivals: Arrivals, results: int, waiting: int) -> None:
    """Write results, one every 0.2 s, and print how soon the healthy receiver has each."""
    stems = Bucket(store.connect(stack.store_settings("separate")), "stems")
    finished: dict[str, float] = {}
    for _ in range(results + _WARM_UP):
        began = time.monotonic()
        job = uuid.uuid4().hex
        _write_result(stems, job)
        finished[job] = time.monotonic()
        time.sleep(max(0.0, _INTERVAL_S - (time.monotonic() - began)))
    arrived: dict[str, float] = {}
    wait_until(partial(_collect, arrivals, arrived, finished), 300, "the healthy receiver has all")
    delays = sorted(max(0.0, arrived[job] - finished[job]) for job in list(finished)[_WARM_UP:])
    p50, p99 = statistics.median(delays), percentile(delays, 99)
    cells = [f"{results}", f"{waiting:,}", *(f"{s * 1000:.0f}" for s in (p50, p99, delays[-1]))]
    print(f"| {' | '.join(cells)} |", flush=True)


def _measure_restart(stack: Stack, arrivals: Arrivals) -> None:
    """Print how long a bridge that was ended needs until it delivers again."""
    stack.stop("bridge")
    began = time.monotonic()
    stack.start("bridge")
    stems = Bucket(store.connect(stack.store_settings("separate")), "stems")
    job = uuid.uuid4().hex
    _write_result(stems, job)
    arrived: dict[str, float] = {}
    wait_until(
        partial(_collect, arrivals, arrived, [job]), 300, "the event arrives after the restart"
    )
    print(f"bridge: delivered {arrived[job] - began:.1f} s after its restart")


def _collect(arrivals: Arrivals, arrived: dict[str, float], expected: Any) -> bool:
    """Take what has arrived; return whether nothing that is expected is missing."""
    try:
        while True:
            job, moment = arrivals.get_nowait()
            arrived.setdefault(job, moment)
    except Empty:
        return set(expected) <= arrived.keys()


def _write_result(stems: Bucket, job: str) -> None:
    key = f"bench/{job}.mp3"
    stem = StemEntry(name="drums", key=f"{key}/drums.mp3", size=3, content_type="audio/mpeg")
    manifest = Manifest(
        job=job,
        trace="",
        song=SeparatedSong(
            bucket="songs", key=key, etag="e", version="", size=7, sha256="5" * 64, seconds=1.5
        ),
        options={},
        model=ModelInfo(name="htdemucs_tiny", note=""),
        stems=[stem],
        callback="",
        warnings=[],
        created=now(),
        started=now(),
        finished=now(),
        timings={},
    )
    stems.write(f"{key}/manifest.json", manifest.write(), "application/json")


def _resident_mb(stack: Stack, component: str) -> float:
    process = psutil.Process(stack.processes[component].pid)
    family: list[psutil.Process] = [process, *process.children(recursive=True)]
    return float(sum(each.memory_info().rss for each in family) / 1e6)


if __name__ == "__main__":
    main()
