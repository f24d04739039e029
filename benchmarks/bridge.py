"""Measure how many events per second the bridge forwards to a function that answers at once.

    python -m benchmarks.bridge [--events 10000] [--concurrency 64]

It uses a real nats-server, the real bridge process with all routes, and a receiver in a process of
its own. The time counts from the first received request to the last. `per core` is the number of
events per second of the bridge's CPU time: other load on the machine does not change it.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from multiprocessing import Process, Value
from pathlib import Path
from typing import Any

import psutil
import uvloop
from aiohttp import web

from local.ports import free_port
from microdemucs.bus import SONGS_SUBJECT
from microdemucs.events import ObjectCreated, notification
from microdemucs.paths import ROOT
from microdemucs.settings import BusSettings
from minio_events.bus_setup import provision_bus
from minio_events.connection import connect


def receive(port: int, count: Any, first: Any, last: Any) -> None:
    """Count requests, and keep the times of the first and the last one."""

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        now = time.monotonic()
        if not count.value:
            first.value = now
        last.value = now
        count.value += 1
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/", handle)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


async def publish(events: int, offset: int) -> None:
    """Publish two copies of each notification, as the store's two targets do."""
    client = await connect(
        BusSettings("nats://" + os.environ["BENCH_NATS"], "events", "p"), "bench"
    )
    js = client.jetstream(publish_async_max_pending=1000)
    acknowledgements = []
    for number in range(offset, offset + events):
        song = ObjectCreated("songs", f"song {number}.mp3", 1, f"etag{number}", time="2026-01-01")
        for _ in range(2):
            message = notification(song, f"request{number}")
            acknowledgements.append(await js.publish_async(SONGS_SUBJECT, message, wait_stall=30))
    await asyncio.gather(*acknowledgements)
    await client.close()


async def provision() -> None:
    client = await connect(
        BusSettings("nats://" + os.environ["BENCH_NATS"], "provision", "p"), "bench"
    )
    await provision_bus(client)
    await client.close()


def main() -> None:
    """Measure, and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    port, receiver_port = free_port(), free_port()
    os.environ["BENCH_NATS"] = f"127.0.0.1:{port}"
    users = (
        *("PROVISION", "MINIO", "BRIDGE", "INTAKE", "SWEEP", "EVENTS"),
        *("SEPARATE", "UPLOAD", "NOTIFY", "LOGS"),
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "NATS_HOST": "127.0.0.1",
            "NATS_PORT": str(port),
            "NATS_STORE": folder,
            "NATS_URL": f"nats://127.0.0.1:{port}",
            "NATS_USER": "bridge",
            "NATS_PASSWORD": "p",
            "SEPARATE_URL": f"http://127.0.0.1:{receiver_port}",
            "SEPARATE_CONCURRENCY": str(arguments.concurrency),
            "EVENTS_SECRET": "the-secret-of-this-benchmark",
            **{f"NATS_{user}_PASSWORD": "p" for user in users},
        }
        server = subprocess.Popen(
            [Path(sys.executable).parent / "nats-server", "-c", ROOT / "minio-events/nats.conf"],
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        count, first, last = Value("i", 0), Value("d", 0.0), Value("d", 0.0)
        receiver = Process(target=receive, args=(receiver_port, count, first, last), daemon=True)
        receiver.start()
        bridge: subprocess.Popen[bytes] | None = None
        try:
            uvloop.run(provision())
            rates, per_core = [], []
            for round_ in range(arguments.rounds):
                uvloop.run(publish(arguments.events, round_ * arguments.events))
                count.value = 0
                bridge = subprocess.Popen(
                    [sys.executable, "-m", "minio_events", "bridge"],
                    env=environment,
                    stdout=subprocess.DEVNULL,
                )
                usage = psutil.Process(bridge.pid)
                while not count.value:
                    time.sleep(0.001)
                before = sum(usage.cpu_times()[:2])
                received, received_at = 0, time.monotonic()
                while count.value < arguments.events:
                    if count.value > received:
                        received, received_at = count.value, time.monotonic()
                    elif time.monotonic() - received_at > 60:
                        raise SystemExit(f"stuck at {count.value} of {arguments.events} events")
                    time.sleep(0.01)
                spent = sum(usage.cpu_times()[:2]) - before
                seconds = last.value - first.value
                rates.append(arguments.events / seconds)
                per_core.append(arguments.events / spent)
                bridge.terminate()
                bridge.wait()
            print(
                json.dumps(
                    {"events": arguments.events, "copies": 2, "concurrency": arguments.concurrency}
                )
            )
            for name, values in (("events/s", rates), ("events/s per core", per_core)):
                values.sort()
                print(
                    f"{name:18} min {values[0]:7.0f}  median {values[len(values) // 2]:7.0f}  "
                    f"max {values[-1]:7.0f}"
                )
        finally:
            for process in filter(None, (bridge, server)):
                process.terminate()
                process.wait()
            receiver.terminate()
            receiver.join()


if __name__ == "__main__":
    main()
