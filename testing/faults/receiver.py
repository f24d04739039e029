"""The receiver of webhooks and callbacks: writes each delivery to a file before it answers.

python -m testing.faults.receiver PORT FILE
"""

import json
import os
import sys
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Received:
    """One request that the receiver answered, with its headers in lower case."""

    path: str
    headers: dict[str, str]
    body: str

    @property
    def id(self) -> str:
        """The delivery's id (Standard Webhooks)."""
        return self.headers.get("webhook-id", "")

    @property
    def event(self) -> dict[str, Any]:
        """The CloudEvent."""
        event: dict[str, Any] = json.loads(self.body)
        return event


def read_received(file: Path, offset: int = 0) -> tuple[list[Received], int]:
    """Return the deliveries in `file` from the byte `offset` on, and the offset after them."""
    if not file.exists():
        return [], offset
    with file.open("rb") as lines:
        lines.seek(offset)
        complete, _, _ = lines.read().rpartition(b"\n")
    received = []
    for line in complete.splitlines():
        try:
            received.append(Received(**json.loads(line)))
        except ValueError:  # the receiver was killed while it wrote
            continue
    return received, offset + (len(complete) + 1 if complete else 0)


def main(port: str, file: str) -> None:
    """Serve until the process is killed."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(descriptor, b"\n")  # ends a line that a killed process began

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            line = json.dumps({"path": self.path, "headers": headers, "body": body})
            os.write(descriptor, line.encode() + b"\n")
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
