import pytest

from microdemucs.loopback import is_loopback, names_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "LocalHost"])
def test_loopback_addresses_are_recognised(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "localhost.x", ""])
def test_other_addresses_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("header", ["127.0.0.1", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:1"])
def test_a_host_header_may_name_a_loopback_address(header: str) -> None:
    assert names_loopback(header)


@pytest.mark.parametrize(
    "header", ["", "evil.example", "127.0.0.1.evil.example", "[", "[::1", "a@b:c", "127.0.0.1@evil"]
)
def test_any_other_host_header_does_not(header: str) -> None:
    assert not names_loopback(header)
