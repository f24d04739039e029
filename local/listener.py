"""A webhook receiver on this machine: hears one job's events, and checks who signed them."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError


class Listener:
    """Listens on a free port for as long as the process lives, or until `close`."""

    def __init__(self) -> None:
        self.secret = ""
        self._heard: list[dict[str, Any]] = []
        self._new = threading.Condition()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(listener.take(dict(self.headers.items()), body))
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Standard error is for errors."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """The address to register."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """The HTTP status for a delivery: 204 for one that is ours by its signature, else 401."""
        try:
            event = Webhook(self.secret).verify(body, {k.lower(): v for k, v in headers.items()})
        except WebhookVerificationError:
            return 401
        with self._new:
            self._heard.append(event)
            self._new.notify_all()
        return 204

    def wait(self, key: str, seconds: float) -> dict[str, Any] | None:
        """The event about the song `key`, waited for; None where none has come in time."""

        def found() -> dict[str, Any] | None:
            return next((event for event in self._heard if event["subject"] == key), None)

        with self._new:
            self._new.wait_for(lambda: found() is not None, seconds)
            return found()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def pretty(event: dict[str, Any]) -> str:
    """The event as one reads it: the signatures of its links cut off."""
    return re.sub(r'\?X-Amz-[^"]*', "?…", json.dumps(event, indent=2, ensure_ascii=False))
