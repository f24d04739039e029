"""Addresses that only this machine can reach."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`, an address or a name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def names_loopback(host_header: str) -> bool:
    """Return whether a Host header, with or without a port, names a loopback address.

    With DNS rebinding, a page of another site uses a name that resolves to 127.0.0.1 for a moment.
    """
    try:
        return is_loopback(urlsplit(f"//{host_header}").hostname or "")
    except ValueError:  # for example an unclosed bracket
        return False
