"""What the bridge does for upload, without the bridge's other work."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from minio_events.cancellation import cancel
from minio_events.connection import connect
from minio_events.dead_letter_requests import answer_requests
from testing.stack import Stack


@contextmanager
def dead_letters_answered(stack: Stack) -> Iterator[None]:
    """Replay and drop dead letters on request, as the user of the bridge, until the block ends."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop = asyncio.Event()

    async def answer() -> None:
        client = await connect(stack.bus_settings("bridge"), "bridge")
        answering = asyncio.create_task(answer_requests(client))
        await asyncio.sleep(0)  # it subscribes
        await client.flush()
        ready.set()
        await stop.wait()
        await cancel([answering])
        await client.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(answer(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
