"""An HTTP server on loopback that receives webhooks."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class ReceivedRequest(NamedTuple):
    """A request as it arrived; `path` has the query."""

    path: str
    headers: dict[str, str]
    body: bytes


class WebhookReceiver:
    """Records every request in `requests`, and answers with `responses` in turn, then with 200.

    A response is a status and headers.
    """

    def __init__(self, *responses: tuple[int, dict[str, str]]) -> None:
        self.requests: list[ReceivedRequest] = []
        remaining = list(responses)
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                requests.append(ReceivedRequest(self.path, dict(self.headers), body))
                status, headers = remaining.pop(0) if remaining else (200, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                """Write nothing to stderr."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook?key=in-the-query"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and close the port."""
        self.server.shutdown()
        self.server.server_close()


StartReceiver = Callable[..., WebhookReceiver]
"""The fixture `receiver`: starts a receiver with these responses."""

Pending = Callable[[], list[dict[str, Any]]]
"""The fixture `pending`: takes every delivery that waits on the bus."""
