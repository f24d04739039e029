"""An HTTP server on loopback that records its requests."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

Response = tuple[int, dict[str, str]]
"""Status and headers."""


@dataclass(frozen=True)
class Request:
    """One request, with its headers in lower case; `at` is the monotonic time of its arrival."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def subject(self) -> str:
        """The subject of a CloudEvent, as sent: percent-encoded."""
        return self.headers["ce-subject"]

    @property
    def trace(self) -> str:
        """The trace id of a CloudEvent."""
        return self.headers["ce-traceparent"].split("-")[1]


Respond = Callable[[Request], Response]


def accept(_: Request) -> Response:
    """Respond 204."""
    return 204, {}


def in_turn(*responses: Response, then: Response = (204, {})) -> Respond:
    """Respond with these one after the other, and afterwards with `then`."""
    remaining = list(responses)
    return lambda _: remaining.pop(0) if remaining else then


class HttpReceiver:
    """Records each request in `requests`; `respond` may take as long as it likes.

    `content` is the body of the responses. A context manager: it stops listening at the end.
    """

    def __init__(self, respond: Respond = accept, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.respond = respond
        self.content = b""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path, headers, body)
                receiver.requests.append(request)
                status, response_headers = receiver.respond(request)
                self.send_response(status)
                for name, value in response_headers.items():
                    self.send_header(name, value)
                content = receiver.content if status != 204 else b""
                if status != 204:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_DELETE = do_POST

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Stop listening, and close the port."""
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
