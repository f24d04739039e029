"""A program that serves ends when it is told to."""

import os
import subprocess
import sys

from microdemucs.paths import ROOT

_DEAF_ONCE = """
import asyncio
from contextlib import suppress
from minio_events.daemon import serve

async def work(client):
    with suppress(asyncio.CancelledError):  # as asyncio.wait_for, where an answer comes just then
        await asyncio.sleep(60)
    await asyncio.sleep(60)

asyncio.run(serve("test", work))
"""


def test_a_stop_that_a_library_swallows_is_heard_all_the_same(bus):
    process = subprocess.Popen(
        [sys.executable, "-c", _DEAF_ONCE],
        cwd=ROOT,
        env=os.environ | bus.environment.for_component("events"),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert '"event": "test started"' in process.stdout.readline()
        process.terminate()
        assert '"event": "test stopped"' in process.communicate(timeout=15)[0]
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
