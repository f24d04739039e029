"""Signed tokens that let anybody who has one read a single job until a time.

They are itsdangerous' signed JSON: HMAC-SHA256, with a key that is derived from a secret for this
use only. All processes of a deployment have the same secrets, so each of them accepts what another
one has signed.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from itsdangerous import BadData, URLSafeSerializer

from functions.upload.settings import Settings

TOKEN_PREFIX = "share_"  # noqa: S105 (tells such a token from one of API_TOKENS)
_SALT = "micro-demucs share link"


class Grant(NamedTuple):
    """What a token allows: to read this job. `expires` is in seconds since 1970."""

    job: str
    expires: int


class BadShareToken(ValueError):
    """The token was not signed here, was changed, or has expired; the message says which."""


class ShareLinks:
    """Signs and checks tokens. The first of `secrets` signs, all of them are accepted."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._serializer = URLSafeSerializer(
            [*reversed(secrets)],  # itsdangerous signs with the last one
            salt=_SALT,
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )

    @staticmethod
    def of(settings: Settings) -> "ShareLinks":
        """Return those of SHARE_SECRETS; without it, of a secret made of the store's."""
        secrets = settings.share_secrets
        if not secrets:
            key = settings.store.secret_key.encode()
            secrets = (hmac.new(key, _SALT.encode(), hashlib.sha256).hexdigest(),)
        return ShareLinks(secrets)

    def sign(self, grant: Grant) -> str:
        """Return the grant's token."""
        return TOKEN_PREFIX + str(self._serializer.dumps(grant))

    def read(self, token: str, time: float) -> Grant:
        """Return what the token allows at `time`. Raises BadShareToken."""
        try:
            payload = self._serializer.loads(token.removeprefix(TOKEN_PREFIX))
            grant = msgspec.convert(payload, Grant)
        except (BadData, msgspec.ValidationError):
            raise BadShareToken("it is not complete, or was not made by this server") from None
        if grant.expires <= time:
            raise BadShareToken("it has expired")
        return grant
