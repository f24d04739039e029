"""The keys of objects: their length, which belong to the program, and what a song's key says."""

import re

_HASH_KEY = re.compile(r"([0-9a-f]{64})\.mp3")

LONGEST_KEY = 1024
"""Bytes in UTF-8: the limit of S3."""

LONGEST_SONG_KEY = 1000
"""Bytes in UTF-8: what is left if the names of stems and manifest.json come after the key."""


def is_reserved(key: str) -> bool:
    """Whether the results of a song with this key would lie among objects of other jobs.

    Previews are in `<song>/.live/`, results of ranges in `.ranges/`, and both are cleared.
    """
    return key.startswith(".ranges/") or "/.live/" in key


def hash_in_key(song_key: str) -> str:
    """Return the SHA-256 of a song that the REST API stored, which its key holds; else ""."""
    found = _HASH_KEY.fullmatch(song_key)
    return found[1] if found else ""


def fits(key: str) -> bool:
    """Whether S3 accepts `key`."""
    return len(key.encode()) <= LONGEST_KEY
