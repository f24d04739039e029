"""A stem and the version of its object that a request works on."""

from typing import NamedTuple

from microdemucs.manifest import StemEntry


class StoredStem(NamedTuple):
    """A stem: its entry in the manifest, and the object's eTag and size in bytes."""

    entry: StemEntry
    etag: str
    size: int
