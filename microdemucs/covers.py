"""The cover of a song, stored beside its stems."""

COVER_TYPES = {"cover.jpg": "image/jpeg", "cover.png": "image/png"}
"""The content type of an object by its name."""

MAX_COVER_BYTES = 300_000


def is_cover(data: bytes) -> bool:
    """Whether this is a JPEG or PNG of at most MAX_COVER_BYTES."""
    return data.startswith((b"\xff\xd8\xff", b"\x89PNG")) and len(data) <= MAX_COVER_BYTES


def cover_name(cover: bytes) -> str:
    """Return the name of the object with this cover."""
    return "cover.png" if cover.startswith(b"\x89PNG") else "cover.jpg"


def cover_type(cover: bytes) -> str:
    """Return the media type of a cover, a JPEG or PNG."""
    return COVER_TYPES[cover_name(cover)]


def cover_keys(song_key: str) -> list[str]:
    """Return the keys, in the output bucket, that the cover of a song can have."""
    return [f"{song_key}/{name}" for name in COVER_TYPES]
