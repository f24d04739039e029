"""Which URLs and addresses a webhook may have."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from socket import inet_aton, inet_ntoa

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

_PORTS = {"http": 80, "https": 443}

# Lists of our own, not `is_global` of the standard library: that one changes with the version of
# Python, lacks the addresses of clouds, and allows special addresses that hold no receiver anyway.
# The network policy of the notify function (knative/base/network.yaml) has the same lists.
SPECIAL_IPV4 = [
    IPv4Network(network)
    for network in (
        # IANA IPv4 Special-Purpose Address Registry, all of it
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private use
        "100.64.0.0/10",  # shared address space; Alibaba Cloud's metadata
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local; the metadata of most clouds
        "172.16.0.0/12",  # private use
        "192.0.0.0/24",  # IETF protocol assignments; Oracle Cloud's metadata
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relay anycast
        "192.168.0.0/16",  # private use
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved; broadcast
        # not in the registry
        "168.63.129.16/32",  # Azure's platform services
    )
]
GLOBAL_IPV6 = IPv6Network("2000::/3")
"""All addresses of IPv6 that are unicast on the public internet (RFC 4291, section 2.4)."""
SPECIAL_IPV6 = [
    IPv6Network(network)
    for network in (
        # IANA IPv6 Special-Purpose Address Registry, as far as it is inside GLOBAL_IPV6
        "2001::/23",  # IETF protocol assignments: Teredo, ORCHID, …
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: holds any IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
]
_NAT64 = IPv6Network("64:ff9b::/96")
"""Its last 32 bits are the IPv4 address that packets go to (RFC 6052)."""


class ForbiddenUrl(Exception):
    """A webhook may never have this URL; the text says why."""


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """A parsed URL. `host` is ASCII and without brackets; `path` includes the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def name(self) -> str:
        """Scheme, host and port. Only these are logged: path and query can hold secrets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + (f":{self.port}" if self._unusual_port else "")

    @property
    def site(self) -> str:
        """The host in one spelling: a name without a final dot, an IPv4 address with four parts."""
        try:
            return inet_ntoa(inet_aton(self.host))
        except (OSError, UnicodeError):
            return self.host.lower().rstrip(".")

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        return self.name.removeprefix(f"{self.scheme}://")

    @property
    def _unusual_port(self) -> bool:
        return self.port != _PORTS[self.scheme]


def parse_webhook_url(url: str) -> WebhookUrl:
    """Parse `url`. Raises ForbiddenUrl unless it is http(s) with a host and without userinfo."""
    try:
        parsed = parse_url(url)
    except LocationParseError:
        raise ForbiddenUrl("the URL cannot be read") from None
    if parsed.scheme not in _PORTS or not parsed.host:
        raise ForbiddenUrl("the URL is not http:// or https:// with a host")
    if parsed.auth is not None:
        raise ForbiddenUrl("the URL holds a user name or password")
    port = _PORTS[parsed.scheme] if parsed.port is None else parsed.port
    return WebhookUrl(parsed.scheme, parsed.host.strip("[]"), port, parsed.request_uri)


def is_public(address: str) -> bool:
    """Whether `address` is on the public internet: no special-purpose address in it."""
    ip = ip_address(address)
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in SPECIAL_IPV4)
    embedded = IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else ip.ipv4_mapped
    if embedded is not None:
        return is_public(str(embedded))
    return ip in GLOBAL_IPV6 and not any(ip in network for network in SPECIAL_IPV6)
