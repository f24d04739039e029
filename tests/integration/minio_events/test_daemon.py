"""A program that serves until SIGTERM."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from nats.aio.client import Client

from microdemucs.paths import ROOT
from minio_events.bus_setup import provision_bus
from testing.stack import Stack
from testing.waiting import wait_until

_IGNORES_ONE_CANCELLATION = """
import asyncio
from contextlib import suppress
from microdemucs.settings import BusSettings
from minio_events.daemon import serve

async def work(client):
    with suppress(asyncio.CancelledError):  # as asyncio.wait_for may do
        await asyncio.sleep(60)
    await asyncio.sleep(60)

asyncio.run(serve("test", BusSettings(), work))
"""


def test_sigterm_ends_a_program_although_a_library_swallows_a_cancellation(
    bus_stack: Stack,
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _IGNORES_ONE_CANCELLATION],
        cwd=ROOT,
        env=os.environ | bus_stack.environment.for_component("bridge"),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        assert '"event": "test started"' in process.stdout.readline()
        process.terminate()
        assert '"event": "test stopped"' in process.communicate(timeout=15)[0]
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def test_a_connection_that_the_bus_closes_for_good_ends_the_program_with_one_line(
    bus_stack: Stack, tmp_path: Path
) -> None:
    """The bus does that if the password changes: nats-py does not connect again."""
    bus_stack.kill("nats")
    variables = bus_stack.environment.variables
    config, text = tmp_path / "nats.conf", (ROOT / "minio-events" / "nats.conf").read_text()
    password = variables["NATS_BRIDGE_PASSWORD"]
    config.write_text(text.replace("$NATS_BRIDGE_PASSWORD", password))
    server = subprocess.Popen(
        ["nats-server", "-c", str(config)],
        env=os.environ | variables,
        stderr=subprocess.DEVNULL,
    )
    try:
        bus_stack.start("bridge")
        wait_until(lambda: bus_stack.logged("bridge started"), 30)
        config.write_text(text.replace("$NATS_BRIDGE_PASSWORD", "other"))
        server.send_signal(signal.SIGHUP)
        assert bus_stack.processes["bridge"].wait(20) == 1
        errors = (bus_stack.environment.folder / "bridge.log").read_text()
        assert errors == "the bus has closed the connection: start bridge again\n"
    finally:
        server.kill()
        server.wait()


def test_a_bucket_that_is_provisioned_later_is_waited_for(unprovisioned_stack: Stack) -> None:
    unprovisioned_stack.start("intake")
    wait_until(lambda: unprovisioned_stack.logged("bucket missing on the bus", bucket="jobs"), 30)
    unprovisioned_stack.on_bus("provision", provision_bus)

    async def waiting(client: Client) -> int:
        return (await client.jetstream().consumer_info("SONGS", "intake")).num_waiting or 0

    wait_until(lambda: unprovisioned_stack.on_bus("tests", waiting) == 1, 20, "it pulls")
    unprovisioned_stack.stop("intake")
