"""Where a webhook may be sent, as far as its URL tells when it is registered.

What its name resolves to counts when it is sent, and is functions/notify's to judge.
"""

import socket
from typing import Any

from functions.upload.json_documents import bad
from microdemucs.addresses import ForbiddenUrl, is_public, parse_webhook_url
from microdemucs.problems import Problem

_URL_CHARACTERS = 2048
_PRIVATE_NAMES = ("localhost", "local", "internal", "home.arpa")


def checked(url: Any, member: str, allow_private: bool) -> str:
    """`url`, where a webhook may go there. Raises Problem naming `member`."""
    if not isinstance(url, str) or not url or len(url) > _URL_CHARACTERS or not url.isprintable():
        raise bad(member, "an http:// or https:// URL")
    try:
        host = parse_webhook_url(url).host
    except ForbiddenUrl as error:
        raise bad(member, f"an http:// or https:// URL without a user name: {error}") from None
    if not allow_private and _is_private(host):
        raise Problem(
            422,
            "private-address",
            "A webhook may not go to a private address",
            f"{member} names {host[:100]}, which is not on the public internet",
            member=member,
        )
    return url


def _is_private(host: str) -> bool:
    name = host.rstrip(".").lower()
    if any(name == private or name.endswith(f".{private}") for private in _PRIVATE_NAMES):
        return True
    try:
        if ":" in name:
            return not is_public(name)
        # as resolvers read it: 127.1 and 0x7f000001 are addresses too
        return not is_public(socket.inet_ntoa(socket.inet_aton(name)))
    except (OSError, ValueError):
        return False
