"""A webhook receiver on this machine that verifies signatures."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError


class WebhookReceiver:
    """Listens on a free port until `close`. Set `secret` after registering `url`."""

    def __init__(self) -> None:
        self.secret = ""
        self._events: list[dict[str, Any]] = []
        self._received = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(receiver._receive(dict(self.headers.items()), body))
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """The URL to register."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    def wait_for(self, key: str, seconds: float) -> dict[str, Any] | None:
        """Return the event about the song `key`, or None if none comes within `seconds`."""

        def event() -> dict[str, Any] | None:
            return next((event for event in self._events if event["subject"] == key), None)

        with self._received:
            self._received.wait_for(lambda: event() is not None, seconds)
            return event()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def _receive(self, headers: dict[str, str], body: bytes) -> int:
        """Keep the event; return the HTTP status: 204, or 401 if the signature is wrong."""
        try:
            event = Webhook(self.secret).verify(body, {k.lower(): v for k, v in headers.items()})
        except WebhookVerificationError:
            return 401
        with self._received:
            self._events.append(event)
            self._received.notify_all()
        return 204


def pretty(event: dict[str, Any]) -> str:
    """Return the event as indented JSON, with the signatures of its links cut off."""
    return re.sub(r'\?X-Amz-[^"]*', "?…", json.dumps(event, indent=2, ensure_ascii=False))
