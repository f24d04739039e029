"""A webhook receiver in the cluster: prints each request as a line of JSON, headers and body."""

import http.server
import json
import threading

_print_lock = threading.Lock()


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        with _print_lock:  # print writes the newline separately
            print(json.dumps({"headers": headers, "body": body}), flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print only what is received."""


http.server.ThreadingHTTPServer(("", 8080), Receiver).serve_forever()
