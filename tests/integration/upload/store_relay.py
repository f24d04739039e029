"""A way to the store that a test can cut off."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from testing.stack import Stack


@contextmanager
def serve_with_relay(stack: Stack, output: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Serve the upload function; yield its address, and a function that cuts it off its store."""
    with (
        _relay_to(stack.connection("upload")["STORE_URL"]) as (store_url, cut),
        stack.serve("upload", output, STORE_URL=store_url) as address,
    ):
        yield address, cut


@contextmanager
def _relay_to(url: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield an address that leads to `url`, and a function that cuts it off."""
    target = urlsplit(url)
    listener = socket.create_server(("127.0.0.1", 0))
    sockets = [listener]

    def accept() -> None:
        with suppress(OSError):  # the listener is shut down
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((target.hostname or "", target.port or 80))
                sockets.extend((client, server))
                threading.Thread(target=_copy, args=(client, server)).start()
                threading.Thread(target=_copy, args=(server, client)).start()

    def cut() -> None:
        for end in sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", cut
    finally:
        cut()
        acceptor.join()
        for end in sockets:
            end.close()


def _copy(source: socket.socket, destination: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            destination.sendall(data)
        destination.shutdown(socket.SHUT_WR)
