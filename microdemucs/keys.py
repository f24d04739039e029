"""How long the keys of objects may be."""

LONGEST_KEY = 1024
"""Bytes in UTF-8: the limit of S3."""

LONGEST_SONG_KEY = 1000
"""Bytes in UTF-8: what is left if the names of stems and manifest.json come after the key."""


def fits(key: str) -> bool:
    """Whether S3 accepts `key`."""
    return len(key.encode()) <= LONGEST_KEY
