"""Check a webhook's URL when it is registered, as far as the URL itself shows.

functions/notify checks the addresses that its name resolves to, each time it sends.
"""

import socket
from typing import Any

from functions.upload.json_documents import bad_hidden_value, bad_value
from microdemucs.addresses import ForbiddenUrl, is_public, parse_webhook_url
from microdemucs.problems import Problem

_MAX_URL_CHARACTERS = 2048
_PRIVATE_NAMES = ("localhost", "local", "internal", "home.arpa")
_ACCEPTS = "an http:// or https:// URL without user name and password"


def check_url(url: Any, member: str, allow_private: bool) -> str:
    """Return `url` if a webhook may have it. Raises Problem (422), which names `member`.

    The URL is not shown in full: its path and query may hold secrets.
    """
    if not isinstance(url, str):
        raise bad_value(member, url, _ACCEPTS)
    if not url.isprintable() or len(url) > _MAX_URL_CHARACTERS:
        limits = f"of at most {_MAX_URL_CHARACTERS} characters, all of them printable"
        raise bad_hidden_value(member, f"{_ACCEPTS}, {limits}")
    try:
        host = parse_webhook_url(url).host
    except ForbiddenUrl as error:
        raise bad_hidden_value(member, _ACCEPTS, str(error)) from None
    if not allow_private and is_private_host(host):
        raise Problem(
            422,
            "private-address",
            "This webhook URL is not allowed",
            f"{host[:100]} is a private address; {member} must name a host on the public internet, "
            "or the operator must set WEBHOOK_ALLOW_PRIVATE",
            member=member,
        )
    return url


def is_private_host(host: str) -> bool:
    """Return whether `host` is a private name, or an address outside the public internet."""
    name = host.rstrip(".").lower()
    if any(name == private or name.endswith(f".{private}") for private in _PRIVATE_NAMES):
        return True
    try:
        if ":" in name:
            return not is_public(name)
        # inet_aton reads addresses as resolvers do: 127.1 and 0x7f000001 are addresses too.
        return not is_public(socket.inet_ntoa(socket.inet_aton(name)))
    except (OSError, ValueError):
        return False
