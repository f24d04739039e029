"""From a finished PUT to the call of the separation function, warm.

    .venv/bin/python benchmarks/latency.py [--songs 200]

Real MinIO, NATS and bridge; in the function's place a receiver that notes when it is called. The
clock starts when the PUT has returned to the client; a call that came earlier counts as 0.
"""

import argparse
import io
import statistics
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from testing.stack import running_stack
from testing.waiting import wait_until


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--songs", type=int, default=200)
    asked = parser.parse_args()
    called = {}

    class Function(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            called.setdefault(unquote(self.headers["ce-subject"]), time.monotonic())
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Function)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    with tempfile.TemporaryDirectory() as folder:
        settings = {"SEPARATE_URL": url, "SEPARATE_CONCURRENCY": "4"}
        with running_stack(Path(folder) / "stack", "bridge", **settings) as stack:
            body = bytes(100_000)
            took = []
            for number in range(asked.songs + 5):
                key = f"song {number}.mp3"
                stack.store.put_object("songs", key, io.BytesIO(body), len(body))
                done = time.monotonic()
                wait_until(lambda key=key: key in called)
                took.append(max(0.0, called[key] - done) * 1000)
    server.shutdown()
    took = sorted(took[5:])  # the first ones open connections
    p50, p95 = statistics.median(took), took[int(len(took) * 0.95)]
    print(
        f"PUT finished -> function called, {len(took)} songs: "
        f"p50 {p50:.1f} ms  p95 {p95:.1f} ms  max {took[-1]:.1f} ms"
    )


if __name__ == "__main__":
    main()
