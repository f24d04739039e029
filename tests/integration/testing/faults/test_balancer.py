import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from functools import partial

import pytest

from local.ports import free_port
from testing.faults.balancer import Balancer
from testing.waiting import wait_until

SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(sys.argv[1].encode())
    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def backends() -> Iterator[dict[int, "subprocess.Popen[bytes]"]]:
    """Two servers that answer with their port, by their port."""
    ports = [free_port(), free_port()]
    servers = {port: subprocess.Popen([sys.executable, "-c", SERVER, str(port)]) for port in ports}
    try:
        for port in ports:
            wait_until(partial(answers, port), 30)
        yield servers
    finally:
        for server in servers.values():
            server.kill()
            server.wait()


@pytest.fixture
def url(backends: dict[int, "subprocess.Popen[bytes]"]) -> Iterator[str]:
    """The URL of a balancer before the two servers."""
    port = free_port()
    with Balancer(port, list(backends)):
        yield f"http://127.0.0.1:{port}"


def answers(port: int) -> bool:
    return answer(f"http://127.0.0.1:{port}") == port


def answer(url: str) -> int:
    """The port of the server that answers, 0 if the connection is closed, -1 if it is held."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return int(response.read())
    except TimeoutError:
        return -1
    except OSError:
        return 0


def test_a_server_that_stands_still_gets_no_requests_until_it_goes_on(
    url: str, backends: dict[int, "subprocess.Popen[bytes]"]
) -> None:
    first, second = backends
    wait_until(lambda: answer(url) in backends, 30, "both servers answer")
    backends[first].send_signal(signal.SIGSTOP)
    wait_until(lambda: answer(url) == second, 60, "the second server answers")
    backends[second].kill()
    backends[first].send_signal(signal.SIGCONT)
    wait_until(lambda: answer(url) == first, 60, "the first server answers")


def test_a_request_to_a_server_that_stops_is_not_held(
    url: str, backends: dict[int, "subprocess.Popen[bytes]"]
) -> None:
    wait_until(lambda: answer(url) in backends, 30, "the servers answer")
    for server in backends.values():
        server.send_signal(signal.SIGSTOP)
    wait_until(lambda: answer(url) == 0, 60, "the connection is closed")
