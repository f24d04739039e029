"""The atoms of an MP4 file (ISO/IEC 14496-12, section 4.2), by code of their own."""

from collections.abc import Iterator


def find_atoms(data: bytes, path: str) -> list[bytes]:
    """Return the contents of all atoms at a path such as "moov/trak/tkhd", in their order."""
    name, _, rest = path.partition("/")
    found = [content for own_name, content in _atoms(data) if own_name == name.encode("latin-1")]
    if name == "meta":  # a full atom: version and flags come first
        found = [content[4:] for content in found]
    return [atom for content in found for atom in find_atoms(content, rest)] if rest else found


def _atoms(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position < len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        assert 8 <= size <= len(data) - position, "atoms must fill what contains them"
        yield data[position + 4 : position + 8], data[position + 8 : position + size]
        position += size
