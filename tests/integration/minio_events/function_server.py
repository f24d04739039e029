"""A function for a test: a real HTTP server that records its requests."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Response = tuple[int, dict[str, str]]
"""Status and headers."""


@dataclass(frozen=True)
class Request:
    """One request, with its headers in lower case; `at` is the monotonic time of its arrival."""

    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def subject(self) -> str:
        """The event's subject as sent: percent-encoded."""
        return self.headers["ce-subject"]

    @property
    def trace(self) -> str:
        """The event's trace id."""
        return self.headers["ce-traceparent"].split("-")[1]


Respond = Callable[[Request], Response]


def accept(_: Request) -> Response:
    """Respond 204."""
    return 204, {}


class FunctionServer:
    """Records each request in `requests`; `respond` may take as long as it likes."""

    def __init__(self, respond: Respond = accept, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.respond = respond
        function = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = Request({k.lower(): v for k, v in self.headers.items()}, body)
                function.requests.append(request)
                status, headers = function.respond(request)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                self.send_error(500, "a redirect was followed")

            def log_message(self, *_: object) -> None:
                """Write nothing on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def subjects(self) -> list[str]:
        """Return the subjects in the order of their arrival."""
        return [request.subject for request in self.requests]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class Gate:
    """A response that waits until `open` is called; counts the requests that wait."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self._lock = threading.Lock()
        self._opened = threading.Event()

    def __call__(self, _: Request) -> Response:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        assert self._opened.wait(30)
        with self._lock:
            self.now -= 1
        return 204, {}

    def open(self) -> None:
        """Let all requests pass, now and later."""
        self._opened.set()


def in_turn(*responses: Response) -> Respond:
    """Respond with these one after the other, then with 204."""
    left = list(responses)
    return lambda _: left.pop(0) if left else (204, {})


@contextmanager
def function_server(respond: Respond = accept, port: int = 0) -> Iterator[FunctionServer]:
    """Run a function until the block ends."""
    server = FunctionServer(respond, port)
    try:
        yield server
    finally:
        server.close()
