"""A load balancer in front of several processes of the separate function, as a cluster has one.

It gives a connection to the healthy process that works on the fewest requests. It closes a
connection that has been answered, so that the next request chooses again, and all connections to a
process that stops answering /healthz.
"""

import asyncio
import threading
from contextlib import suppress
from typing import Self

_CHECK_S = 0.5
_HEALTHY_WITHIN_S = 4.0
_IDLE_S = 0.2
_CHUNK_BYTES = 1 << 16


class _Backend:
    """One process; `connections` are open, and `answering` of them wait for its response."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.is_healthy = True
        self.connections: set[asyncio.StreamWriter] = set()
        self.answering: set[asyncio.StreamWriter] = set()


class Balancer:
    """Listens at `port` of loopback. A context manager; it runs in a thread of its own."""

    def __init__(self, port: int, backends: list[int]) -> None:
        self._port = port
        self._backends = [_Backend(backend) for backend in backends]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def busy(self) -> list[int]:
        """Return the numbers of the processes that are working on a request."""
        return [number for number, backend in enumerate(self._backends) if backend.answering]

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        for backend in self._backends:
            task = asyncio.create_task(self._check(backend))
            self._tasks.add(task)

    async def _stop(self) -> None:
        if self._server:
            self._server.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        healthy = [backend for backend in self._backends if backend.is_healthy]
        backend = min(
            healthy,
            key=lambda backend: (len(backend.answering), len(backend.connections)),
            default=None,
        )
        try:
            if backend:
                await self._connect(backend, reader, writer)
        except OSError:
            pass  # the process has ended: the client sees a closed connection
        finally:
            writer.close()

    async def _connect(
        self, backend: _Backend, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        backend.connections.add(writer)
        try:
            from_backend, to_backend = await asyncio.open_connection("127.0.0.1", backend.port)
            try:
                forward = asyncio.create_task(self._forward(reader, to_backend, backend, writer))
                with suppress(OSError, TimeoutError):
                    while data := await self._read_answer(from_backend, backend, writer):
                        backend.answering.discard(writer)
                        writer.write(data)
                        await writer.drain()
                forward.cancel()
            finally:
                to_backend.close()
        finally:
            backend.connections.discard(writer)
            backend.answering.discard(writer)

    @staticmethod
    async def _read_answer(
        from_backend: asyncio.StreamReader, backend: _Backend, writer: asyncio.StreamWriter
    ) -> bytes:
        """Return what the process sends. Raises TimeoutError if it has nothing to answer."""
        while True:
            try:
                async with asyncio.timeout(_IDLE_S):
                    return await from_backend.read(_CHUNK_BYTES)
            except TimeoutError:
                if writer not in backend.answering:
                    raise

    @staticmethod
    async def _forward(
        reader: asyncio.StreamReader,
        to_backend: asyncio.StreamWriter,
        backend: _Backend,
        writer: asyncio.StreamWriter,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                backend.answering.add(writer)
                to_backend.write(data)
                await to_backend.drain()
        to_backend.close()

    async def _check(self, backend: _Backend) -> None:
        while True:
            backend.is_healthy = await _answers(backend.port)
            if not backend.is_healthy:
                for writer in list(backend.connections):
                    writer.transport.abort()
            await asyncio.sleep(_CHECK_S)


async def _answers(port: int) -> bool:
    """Whether the process at `port` answers /healthz in time."""
    try:
        async with asyncio.timeout(_HEALTHY_WITHIN_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(
                    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
