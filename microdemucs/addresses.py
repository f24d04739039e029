"""Where a webhook may go, as far as its URL and its addresses tell."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

_PORTS = {"http": 80, "https": 443}
# Networks whose addresses hold an IPv4 address in their last 32 bits, where packets really go:
# NAT64 (RFC 6052, RFC 8215), IPv4-compatible (RFC 4291, 2.5.5.1).
_IPV4_AT_END = [IPv6Network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")]


class ForbiddenUrl(Exception):
    """A webhook may not go there, now or ever; the text says why."""


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """A URL taken apart. `host` is ASCII and without brackets, `path` has the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def name(self) -> str:
        """Scheme, host and port: what may be logged (path and query can hold secrets)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + (f":{self.port}" if self._unusual_port else "")

    @property
    def authority(self) -> str:
        """What the Host header says."""
        return self.name.removeprefix(f"{self.scheme}://")

    @property
    def _unusual_port(self) -> bool:
        return self.port != _PORTS[self.scheme]


def parse_webhook_url(url: str) -> WebhookUrl:
    """Take `url` apart. Raises ForbiddenUrl where it is not http(s) to a host, or has userinfo."""
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
    """Whether `address` is reached by the internet at large, wherever it is written inside."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        inside = _ipv4_inside(ip)
        if inside is not None:
            return is_public(str(inside))
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _ipv4_inside(ip: IPv6Address) -> IPv4Address | None:
    if any(ip in network for network in _IPV4_AT_END):
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour
