"""URLs taken apart, and which addresses are public: tables."""

from ipaddress import IPv4Network, IPv6Network

import pytest
import yaml

from microdemucs.addresses import (
    GLOBAL_IPV6,
    SPECIAL_IPV4,
    SPECIAL_IPV6,
    ForbiddenUrl,
    is_public,
    parse_webhook_url,
)
from microdemucs.paths import ROOT


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
        *("192.0.0.192", "192.0.0.9", "168.63.129.16", "203.0.113.9", "192.88.99.1"),
        *("64:ff9b:1:a00:0:100:808:808", "64:ff9b:1::808:808", "64:ff9b::c000:c0"),
        *("3fff::1", "3fff:fff::1", "5f00::1", "100::1", "100:0:0:1::1", "2001:20::1"),
        *("2002:101:101::1", "::101:101", "::ffff:0:101:101", "4000::1", "::ffff:168.63.129.16"),
    ],
)
def test_an_address_that_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"),
        *("64:ff9b::101:101", "168.63.129.17", "192.0.1.1", "198.20.0.1", "3ffe::1", "2a00::1"),
    ],
)
def test_an_address_that_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("network", [*SPECIAL_IPV4, *SPECIAL_IPV6], ids=str)
def test_no_address_of_a_special_network_is_public(network: IPv4Network | IPv6Network) -> None:
    assert not is_public(str(network[0]))
    assert not is_public(str(network[-1]))


def test_the_network_policy_of_notify_has_the_same_networks() -> None:
    documents = yaml.safe_load_all((ROOT / "knative/base/network.yaml").read_text())
    (policy,) = (d for d in documents if d["metadata"]["name"] == "notify-to-webhooks")
    blocks = [to["ipBlock"] for to in policy["spec"]["egress"][0]["to"]]
    assert {block["cidr"]: block["except"] for block in blocks} == {
        "0.0.0.0/0": [str(network) for network in SPECIAL_IPV4],
        str(GLOBAL_IPV6): [str(network) for network in SPECIAL_IPV6],
    }


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
