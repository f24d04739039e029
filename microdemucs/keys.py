"""The keys of objects: how long they may be, and which belong to the program."""

LONGEST_KEY = 1024
"""Bytes in UTF-8: the limit of S3."""

LONGEST_SONG_KEY = 1000
"""Bytes in UTF-8: what is left if the names of stems and manifest.json come after the key."""


def is_reserved(key: str) -> bool:
    """Whether the results of a song with this key would lie among objects of other jobs.

    Previews are in `<song>/.live/`, results of ranges in `.ranges/`, and both are cleared.
    """
    return key.startswith(".ranges/") or "/.live/" in key


def fits(key: str) -> bool:
    """Whether S3 accepts `key`."""
    return len(key.encode()) <= LONGEST_KEY
