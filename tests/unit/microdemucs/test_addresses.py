"""URLs taken apart, and which addresses are public: tables."""

import pytest

from microdemucs.addresses import ForbiddenUrl, is_public, parse_webhook_url


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1"),
        *("240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fd00::1", "fe80::1", "fec0::1", "ff02::1", "ff0e::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "::10.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2002:7f00:1::"),
        *("2002:a9fe:a9fe::1", "2001::1"),
    ],
)
def test_an_address_that_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"),
        *("64:ff9b::101:101", "2002:101:101::1"),
    ],
)
def test_an_address_that_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://x.example/", "not http"),
        ("file:///etc/passwd", "not http"),
        ("gopher://x.example/", "not http"),
        ("x.example/hook", "not http"),
        ("//x.example/hook", "not http"),
        ("http:///hook", "not http"),
        ("", "not http"),
        ("http://name@x.example/", "user name"),
        ("http://name:word@x.example/", "user name"),
        ("http://1.1.1.1@127.0.0.1/", "user name"),
        ("http://x.example:port/", "cannot be read"),
        ("http://x.example:99999/", "cannot be read"),
        ("http://[::1/", "cannot be read"),
    ],
)
def test_a_url_that_is_forbidden(url: str, reason: str) -> None:
    with pytest.raises(ForbiddenUrl, match=reason):
        parse_webhook_url(url)


@pytest.mark.parametrize(
    ("url", "name", "path"),
    [
        ("https://X.example/a?key=1#part", "https://x.example", "/a?key=1"),
        ("http://x.example:80", "http://x.example", "/"),
        ("http://x.example:8080/a b", "http://x.example:8080", "/a%20b"),
        ("https://[2606:4700::1]:444/", "https://[2606:4700::1]:444", "/"),
        ("https://bücher.example/", "https://xn--bcher-kva.example", "/"),
        ("http://1.1.1.1\\@127.0.0.1/", "http://1.1.1.1", "/%5C@127.0.0.1/"),
    ],
)
def test_the_name_of_a_url_hides_path_and_query(url: str, name: str, path: str) -> None:
    parsed = parse_webhook_url(url)
    assert (parsed.name, parsed.path) == (name, path)
