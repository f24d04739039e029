"""Who sent a song. The songs of different submitters take turns.

A submitter is a token of the REST API, or the first folder of the key if somebody else put the
song into the input bucket.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping

METADATA_NAME = "submitter"
"""The user metadata in which the REST API names the submitter of an object that it stores."""

# Clients that write to the bucket choose their own metadata. It counts only under the API's own
# keys, so that nobody takes another submitter's turns by mistake.
_API_KEY = re.compile(r"[0-9a-f]{64}\.mp3|form/[0-9a-f]{32}/.+", re.DOTALL)
_TOKEN_ID = re.compile(r"[0-9a-f]{16}")


def token_id(token: str, secret: str) -> str:
    """Return 16 hex digits that stand for an API token; "" for "".

    Without `secret` nobody can find out whether a guessed token is the right one.
    """
    if not token:
        return ""
    return hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()[:16]


def submitter_of(key: str, metadata: Mapping[str, str]) -> str:
    """Return who sent the song at `key`: the id of a token, or a folder such as "dir/".

    It is "" for a song that is in no folder.
    """
    declared = metadata.get(METADATA_NAME, "")
    if _API_KEY.fullmatch(key) and _TOKEN_ID.fullmatch(declared):
        return declared
    folder, slash, _ = key.partition("/")
    return folder + slash if slash else ""
