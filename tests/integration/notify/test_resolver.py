"""Lookups of hosts. The name service is the one component that cannot run on loopback."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from functions.notify import resolver
from functions.notify.resolver import NotResolved, Resolver


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The lookups so far. Names under slow.example get no answer until the test ends."""
    done: list[str] = []
    over = threading.Event()

    def getaddrinfo(host: str, *_: Any, **__: Any) -> list[Any]:
        done.append(host)
        if host.endswith("slow.example"):
            over.wait(60)
        if host.endswith("missing.example"):
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.1.1.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield done
    over.set()


@pytest.mark.parametrize(
    ("host", "address"),
    [
        *(("127.0.0.1", "127.0.0.1"), ("2130706433", "127.0.0.1"), ("0x7f.1", "127.0.0.1")),
        *(("0177.0.0.1", "127.0.0.1"), ("0", "0.0.0.0"), ("::1", "::1")),
    ],
)
def test_an_address_needs_no_lookup(host: str, address: str, lookups: list[str]) -> None:
    assert Resolver().resolve(host, 1) == [address]
    assert lookups == []


def test_a_name_has_its_addresses(lookups: list[str]) -> None:
    assert Resolver().resolve("x.example", 5) == ["1.1.1.1"]
    assert lookups == ["x.example"]


def test_a_name_without_addresses_is_not_resolved(lookups: list[str]) -> None:
    with pytest.raises(NotResolved, match=r"missing\.example cannot be resolved"):
        Resolver().resolve("missing.example", 5)


def test_a_slow_name_has_one_lookup_however_often_it_is_asked_for(lookups: list[str]) -> None:
    each = Resolver()
    for _ in range(5):
        with pytest.raises(NotResolved, match="not resolved within"):
            each.resolve("slow.example", 0.01)
    assert lookups == ["slow.example"]


def test_slow_names_in_all_threads_do_not_block_a_name_that_was_resolved_before(
    lookups: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver, "_THREADS", 4)
    each = Resolver()
    each.resolve("x.example", 5)
    for number in range(20):
        with pytest.raises(NotResolved):
            each.resolve(f"{number}.slow.example", 0.01)
    assert each.resolve("x.example", 5) == ["1.1.1.1"]
    assert each.resolve("192.0.2.1", 5) == ["192.0.2.1"]


def test_a_lookup_that_nobody_waits_for_any_more_never_begins(
    lookups: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver, "_THREADS", 1)
    each = Resolver()
    for number in range(20):
        with pytest.raises(NotResolved):
            each.resolve(f"{number}.slow.example", 0.01)
    assert lookups == ["0.slow.example"]


def test_slow_names_leave_threads_for_new_names(lookups: list[str]) -> None:
    each = Resolver()
    for number in range(40):
        with pytest.raises(NotResolved):
            each.resolve(f"{number}.slow.example", 0.01)
    assert each.resolve("x.example", 5) == ["1.1.1.1"]
