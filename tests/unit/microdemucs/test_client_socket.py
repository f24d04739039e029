import socket
import threading
from collections.abc import Iterator
from itertools import count
from types import SimpleNamespace

import pytest

from microdemucs import client_socket
from microdemucs.client_socket import ClientSocket, Patience
from microdemucs.problems import Problem
from testing.waiting import wait_until

SHORT = Patience(0.05, 1000.0)
LONG = Patience(60.0, 1000.0)


class Pair:
    """A server's and a client's end of one connection."""

    def __init__(self, patience: Patience) -> None:
        accepted, self.client = socket.socketpair()
        self.server = ClientSocket(accepted, patience)

    def close(self) -> None:
        self.server.close()
        self.client.close()


@pytest.fixture
def slow() -> Iterator[Pair]:
    """A connection that has little patience."""
    pair = Pair(SHORT)
    yield pair
    pair.close()


@pytest.fixture
def patient() -> Iterator[Pair]:
    """A connection that waits long."""
    pair = Pair(LONG)
    yield pair
    pair.close()


def test_what_arrives_is_received(patient: Pair) -> None:
    patient.client.sendall(b"hello")
    assert patient.server.recv(3) == b"hel"
    assert patient.server.recv(3) == b"lo"
    patient.client.close()
    assert patient.server.recv(3) == b""


def test_a_client_that_sends_nothing_is_too_slow(slow: Pair) -> None:
    with pytest.raises(Problem) as raised:
        slow.server.recv(1)
    assert (raised.value.status, raised.value.kind) == (408, "slow-client")
    assert raised.value.detail == (
        "at least 1000 bytes per second are expected, and at most 0.05 s without any"
    )


def test_a_client_that_trickles_is_too_slow() -> None:
    """Each byte buys a thousandth of a second."""
    pair = Pair(Patience(1.0, 1000.0))
    stopped, received = threading.Event(), bytearray()

    def trickle() -> None:
        while not stopped.wait(0.01):
            pair.client.send(b".")

    def receive() -> None:
        while True:
            received.extend(pair.server.recv(1))

    client = threading.Thread(target=trickle)
    client.start()
    try:
        with pytest.raises(Problem):
            receive()
    finally:
        stopped.set()
        client.join()
        pair.close()
    assert received


def test_a_client_that_is_fast_enough_may_take_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair(Patience(20.0, 0.05))  # each byte buys all of the patience again
    pair.client.settimeout(60)
    clock = count(step=15.0)  # each wait takes 15 s
    monkeypatch.setattr(client_socket, "time", SimpleNamespace(monotonic=clock.__next__))
    received = bytearray()

    def answer_each_byte() -> None:
        for _ in range(100):
            received.extend(pair.server.recv(1))
            pair.server.sendall(b".")

    server = threading.Thread(target=answer_each_byte)
    server.start()
    for _ in range(100):
        pair.client.sendall(b"x")
        assert pair.client.recv(1) == b"."
    server.join()
    assert received == b"x" * 100
    pair.close()


def test_a_client_that_does_not_read_is_too_slow(slow: Pair) -> None:
    with pytest.raises(BrokenPipeError):
        slow.server.sendall(bytes(10_000_000))


def test_each_request_begins_with_full_patience(slow: Pair) -> None:
    for _ in range(3):
        with slow.server.request(None), pytest.raises(Problem):
            slow.server.recv(1)
    with slow.server.request(None):
        slow.client.sendall(b"x")
        assert slow.server.recv(1) == b"x"


def test_a_timeout_is_no_lack_of_patience(patient: Pair) -> None:
    patient.server.settimeout(0.01)
    assert patient.server.gettimeout() == 0.01
    with pytest.raises(TimeoutError):
        patient.server.recv(1)
    patient.server.setblocking(True)
    patient.client.sendall(b"x")
    assert patient.server.recv(1) == b"x"


def test_while_it_waits_another_has_the_turn(patient: Pair) -> None:
    turns = threading.Semaphore(1)
    received = []

    def serve() -> None:
        with patient.server.request(turns):
            received.append(patient.server.recv(1))

    server = threading.Thread(target=serve)
    server.start()
    wait_until(lambda: patient.server.closes_at < float("inf"), 20, "the server waits")
    with turns:
        patient.client.sendall(b"x")
        wait_until(lambda: patient.server.closes_at == float("inf"), 20, "the server goes on")
        assert received == []  # it needs its turn again
    server.join(20)
    assert received == [b"x"]
    assert turns.acquire(blocking=False)


def test_all_of_a_long_answer_arrives(patient: Pair) -> None:
    data = bytes(range(256)) * 20_000
    server = threading.Thread(target=patient.server.sendall, args=(data,))
    server.start()
    received = bytearray()
    while len(received) < len(data):
        received += patient.client.recv(65536)
    server.join(20)
    assert received == data
