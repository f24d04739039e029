"""A function for a test: a real HTTP server that records the events it receives."""

import threading

from testing.http_receiver import HttpReceiver, Request, Response


class FunctionServer(HttpReceiver):
    """A receiver of events."""

    def subjects(self) -> list[str]:
        """Return the events' subjects in the order of their arrival."""
        return [request.subject for request in self.requests]


class Gate:
    """A response that waits until `open` is called; counts the requests that wait."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self._lock = threading.Lock()
        self._opened = threading.Event()

    def __call__(self, _: Request) -> Response:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        assert self._opened.wait(120)
        with self._lock:
            self.now -= 1
        return 204, {}

    def open(self) -> None:
        """Let all requests pass, now and later."""
        self._opened.set()
