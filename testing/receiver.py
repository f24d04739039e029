"""Takes webhooks and prints each as a line of JSON: headers, body as it came."""

import http.server
import json
import threading

_alone = threading.Lock()


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        with _alone:  # print writes its line's end by itself
            print(json.dumps({"headers": headers, "body": body}), flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Only what was received is printed."""


http.server.ThreadingHTTPServer(("", 8080), Receiver).serve_forever()
