"""A function of a test's own: an HTTP server that keeps what it is sent, and answers as told."""

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, dict[str, str]]


@dataclass(frozen=True)
class Request:
    """One request, with its headers in lower case; `at` is the monotonic time of its arrival."""

    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def subject(self) -> str:
        """As it was sent, percent-encoded."""
        return self.headers["ce-subject"]


class Function:
    """`answer` gets each request, may wait as long as it likes, and says status and headers."""

    def __init__(
        self, answer: Callable[[Request], Answer] = lambda _: (204, {}), port: int = 0
    ) -> None:
        self.got: list[Request] = []
        self.answer = answer
        function = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = Request({k.lower(): v for k, v in self.headers.items()}, body)
                function.got.append(request)
                status, headers = function.answer(request)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                self.send_error(500, "a redirect was followed")

            def log_message(self, *_: object) -> None:
                """Tests do not want lines on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def subjects(self) -> list[str]:
        """The subjects in the order of their arrival."""
        return [request.subject for request in self.got]

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


def in_turn(*answers: Answer) -> Callable[[Request], Answer]:
    """These answers one after the other, then 204."""
    left = list(answers)
    return lambda _: left.pop(0) if left else (204, {})


@contextmanager
def function(answer: Callable[[Request], Answer] = lambda _: (204, {}), port: int = 0):
    """A function that is up inside."""
    one = Function(answer, port)
    try:
        yield one
    finally:
        one.close()
