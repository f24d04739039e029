"""Lookups of hosts at a name server of the test's own."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from functions.notify.resolver import NotResolved, Resolver
from testing.waiting import wait_until
from tests.integration.notify.name_server import ADDRESS, NameServer, running_name_server


@pytest.fixture
def server() -> Iterator[NameServer]:
    with running_name_server() as server:
        yield server


@pytest.fixture
def resolver(server: NameServer) -> Iterator[Resolver]:
    resolver = Resolver([server.address])
    yield resolver
    resolver.close()


@pytest.mark.parametrize(
    ("host", "address"),
    [
        *(("127.0.0.1", "127.0.0.1"), ("2130706433", "127.0.0.1"), ("0x7f.1", "127.0.0.1")),
        *(("0177.0.0.1", "127.0.0.1"), ("0", "0.0.0.0"), ("::1", "::1")),
    ],
)
def test_an_address_needs_no_lookup(
    host: str, address: str, resolver: Resolver, server: NameServer
) -> None:
    assert resolver.resolve(host, 1) == [address]
    assert server.queried == []


def test_a_name_has_its_addresses(resolver: Resolver, server: NameServer) -> None:
    assert resolver.resolve("x.example", 5) == [ADDRESS]
    assert server.queried == ["x.example"]


@pytest.mark.parametrize("host", ["missing.example", "a" * 64 + ".example", "a..example"])
def test_a_name_without_addresses_is_not_resolved(host: str, resolver: Resolver) -> None:
    with pytest.raises(NotResolved, match="cannot be resolved"):
        resolver.resolve(host, 5)


def test_the_hosts_file_of_the_system_counts() -> None:
    resolver = Resolver()
    assert "127.0.0.1" in resolver.resolve("localhost", 5)
    resolver.close()


def test_a_slow_name_is_given_up_in_time(resolver: Resolver) -> None:
    with pytest.raises(NotResolved, match=r"slow\.example was not resolved within 0\.01 s"):
        resolver.resolve("slow.example", 0.01)


def test_a_slow_name_has_one_lookup_however_often_it_is_asked_for(
    resolver: Resolver, server: NameServer
) -> None:
    for _ in range(5):
        with pytest.raises(NotResolved, match="not resolved within"):
            resolver.resolve("slow.example", 0.01)
    assert len(resolver._lookups) == 1
    wait_until(lambda: not resolver._lookups, 30, "the lookup ends by itself")
    assert set(server.queried) == {"slow.example"}
    assert len(server.queried) <= 2  # the name server is asked twice


def test_any_number_of_slow_names_delays_no_other_one_and_takes_no_threads(
    resolver: Resolver,
) -> None:
    """As a sender of many webhooks could register them: names that nobody has resolved before."""
    resolver.resolve("x.example", 5)
    threads = threading.active_count()
    for number in range(1000):
        with pytest.raises(NotResolved):
            resolver.resolve(f"{number}.slow.example", 0)
    assert threading.active_count() <= threads
    assert len(resolver._lookups) > 500
    assert resolver.resolve("new.example", 5) == [ADDRESS]
    assert resolver.resolve("x.example", 5) == [ADDRESS]
    wait_until(lambda: not resolver._lookups, 30, "no lookup outlives its time")


def test_callers_of_one_name_get_the_same_answer(resolver: Resolver) -> None:
    with ThreadPoolExecutor(8) as threads:
        names = ["x.example", "y.example"] * 20
        answers = list(threads.map(lambda name: resolver.resolve(name, 5), names))
    assert answers == [[ADDRESS]] * 40
