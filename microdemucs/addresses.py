"""Which URLs and addresses a webhook may have."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

_PORTS = {"http": 80, "https": 443}
# IPv6 networks whose last 32 bits are the IPv4 address that packets really go to:
# NAT64 (RFC 6052, RFC 8215), IPv4-compatible (RFC 4291, 2.5.5.1).
_EMBED_IPV4 = [IPv6Network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")]


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
    """Whether `address` is public. If it embeds an IPv4 address, that one counts."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        embedded = _embedded_ipv4(ip)
        if embedded is not None:
            return is_public(str(embedded))
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _embedded_ipv4(ip: IPv6Address) -> IPv4Address | None:
    if any(ip in network for network in _EMBED_IPV4):
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour
