"""Receivers of webhooks, on loopback."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """A webhook's receiver: keeps what it got, and answers what it is told, 200 at the end."""

    def __init__(self, *answers: tuple[int, dict[str, str]]) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        left = list(answers)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((self.path, dict(self.headers), body))
                status, headers = left.pop(0) if left else (200, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                """Tests do not want lines on stderr."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook?key=in-the-query"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        """Listen no more."""
        self.server.shutdown()
        self.server.server_close()
