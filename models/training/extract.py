"""Extract the MIDI songs from Freedoom's WAD files into midi/.

A WAD file has a header (magic, number of lumps, offset of the directory), the lumps, and a
directory of 16-byte entries (offset, size, name). The names of music lumps begin with D_.
"""

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path

WADS = Path("/usr/share/games/doom")


def lumps(wad: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and data of each lump."""
    data = wad.read_bytes()
    count, directory = struct.unpack("<ii", data[4:12])
    for entry in range(directory, directory + 16 * count, 16):
        offset, size, name = struct.unpack("<ii8s", data[entry : entry + 16])
        yield name.rstrip(b"\0").decode("latin1"), data[offset : offset + size]


def main() -> None:
    """Write each song once, though several WAD files may have it."""
    Path("midi").mkdir(exist_ok=True)
    digests = set()
    for wad in sorted(WADS.glob("*.wad")):
        for name, data in lumps(wad):
            digest = hashlib.sha256(data).digest()
            if name.startswith("D_") and data.startswith(b"MThd") and digest not in digests:
                digests.add(digest)
                Path(f"midi/{wad.stem}_{name}.mid").write_bytes(data)
    print(len(digests), "songs")


if __name__ == "__main__":
    main()
