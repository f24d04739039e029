"""Take the MIDI songs out of Freedoom's WADs into midi/.

A WAD is a header (magic, count, directory's offset), lumps, and a directory of 16-byte entries
(offset, size, name). Music lumps are called D_*.
"""

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path

WADS = Path("/usr/share/games/doom")


def lumps(wad: Path) -> Iterator[tuple[str, bytes]]:
    """Every lump's name and bytes."""
    data = wad.read_bytes()
    count, directory = struct.unpack("<ii", data[4:12])
    for entry in range(directory, directory + 16 * count, 16):
        at, size, name = struct.unpack("<ii8s", data[entry : entry + 16])
        yield name.rstrip(b"\0").decode("latin1"), data[at : at + size]


def main() -> None:
    """Write each song once."""
    Path("midi").mkdir(exist_ok=True)
    seen = set()
    for wad in sorted(WADS.glob("*.wad")):
        for name, data in lumps(wad):
            digest = hashlib.sha256(data).digest()
            if name.startswith("D_") and data.startswith(b"MThd") and digest not in seen:
                seen.add(digest)
                Path(f"midi/{wad.stem}_{name}.mid").write_bytes(data)
    print(len(seen), "songs")


if __name__ == "__main__":
    main()
