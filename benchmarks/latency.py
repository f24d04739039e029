"""Measure the time from a finished PUT to the call of the separation function, warm.

    python -m benchmarks.latency [--songs 200]

It uses a real MinIO, NATS and bridge, and a receiver in place of the function. The clock starts
when the PUT has returned to the client; an earlier call counts as 0.
"""

import argparse
import statistics
import tempfile
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from benchmarks.percentiles import percentile
from testing.stack import running_stack
from testing.waiting import wait_until

_SONG_BYTES = 100_000
_WARM_UP = 5  # the first songs open connections


def main() -> None:
    """Measure, and print the percentiles."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--songs", type=int, default=200)
    arguments = parser.parse_args()
    calls: dict[str, float] = {}

    class Function(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            calls.setdefault(unquote(self.headers["ce-subject"]), time.monotonic())
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Function)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    settings = {"SEPARATE_URL": url, "SEPARATE_CONCURRENCY": "4"}
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), "bridge", **settings) as stack,
    ):
        delays = []
        for number in range(arguments.songs + _WARM_UP):
            key = f"song {number}.mp3"
            stack.put_song(key, bytes(_SONG_BYTES))
            finished = time.monotonic()
            wait_until(partial(calls.get, key))
            delays.append(max(0.0, calls[key] - finished) * 1000)
    server.shutdown()
    delays = sorted(delays[_WARM_UP:])
    p50, p95 = statistics.median(delays), percentile(delays, 95)
    print(
        f"PUT finished -> function called, {len(delays)} songs: "
        f"p50 {p50:.1f} ms  p95 {p95:.1f} ms  max {delays[-1]:.1f} ms"
    )


if __name__ == "__main__":
    main()
