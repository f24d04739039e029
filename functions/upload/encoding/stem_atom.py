"""The atom `stem` of Native Instruments' stem.mp4: JSON at moov/udta/stem that names the tracks.

The format is open, but its specification is sent on request only. This is what Mixxx reads
(src/track/steminfoimporter.cpp) and what stemgen and stempeg write.
"""

import json
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

_COLORS = ("#009E73", "#D55E00", "#CC79A7", "#56B4E9")  # as in other programs: DJs know them
_MASTERING_DSP = {  # of the sum of the stems; both are off, since the stems add up to the song
    "compressor": {
        "enabled": False,
        "ratio": 3,
        "output_gain": 0.5,
        "release": 0.3,
        "attack": 0.003,
        "input_gain": 0.5,
        "threshold": 0,
        "hp_cutoff": 300,
        "dry_wet": 50,
    },
    "limiter": {"enabled": False, "release": 0.05, "threshold": 0, "ceiling": -0.35},
}


class _Atom(NamedTuple):
    """An atom of an MP4 file: [start, end) with its header."""

    name: bytes
    start: int
    content: int
    end: int


def stem_atom(names: Sequence[str]) -> bytes:
    """Return the atom for four stems with these names, in the order of the tracks."""
    stems = [
        {"name": name.capitalize(), "color": color}
        for name, color in zip(names, _COLORS, strict=True)
    ]
    content = {"mastering_dsp": _MASTERING_DSP, "version": 1, "stems": stems}
    return _render(b"stem", json.dumps(content).encode())


def add_stem_atom(file: BinaryIO, names: Sequence[str]) -> None:
    """Add the atom to an MP4 file whose last atom is moov, so that nothing else has to move."""
    size = file.seek(0, 2)
    moov = _atoms(file, 0, size)[-1]
    if moov.name != b"moov":
        raise ValueError(f"the last atom is {moov.name!r}, not moov")
    atom = stem_atom(names)
    udta = next((one for one in _atoms(file, moov.content, moov.end) if one.name == b"udta"), None)
    position = udta.end if udta else moov.end
    file.seek(position)
    rest = file.read()
    file.seek(position)
    file.write((atom if udta else _render(b"udta", atom)) + rest)
    grown = file.tell() - size
    for parent in (moov, udta) if udta else (moov,):
        file.seek(parent.start)
        file.write((parent.end - parent.start + grown).to_bytes(4, "big"))


def _render(name: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + name + content


def _atoms(file: BinaryIO, start: int, end: int) -> list[_Atom]:
    """Return the atoms between two positions (ISO/IEC 14496-12, section 4.2)."""
    found = []
    while start + 8 <= end:
        file.seek(start)
        size, name = int.from_bytes(file.read(4), "big"), file.read(4)
        content = start + 8
        if size == 1:
            size, content = int.from_bytes(file.read(8), "big"), start + 16
        if size < content - start:
            raise ValueError(f"the atom {name!r} has {size} bytes")
        found.append(_Atom(name, start, content, start + size))
        start += size
    return found
