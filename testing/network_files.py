"""Small .safetensors files with the metadata of demucs' networks, and no weights to speak of."""

import json
from fractions import Fraction
from typing import Any

SOURCES = ["drums", "bass", "other", "vocals"]
HTDEMUCS, HDEMUCS = "demucs.htdemucs.HTDemucs", "demucs.hdemucs.HDemucs"


def network_file(
    class_name: str = HTDEMUCS, metadata: dict[str, str] | None = None, **arguments: Any
) -> bytes:
    """Return a file with one small tensor; `arguments` are the network's, `metadata` comes last."""
    keywords = {"sources": SOURCES, "segment": Fraction(39, 5)} | arguments
    header = {
        "__metadata__": {
            "klass": class_name,
            "args": "[]",
            "kwargs": json.dumps(keywords, default=_encode),
        }
        | (metadata or {}),
        "weight": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
    }
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(16)


def _encode(value: Fraction) -> dict[str, Any]:
    return {
        "_type": "fraction",
        "numerator": value.numerator,
        "denominator": value.denominator,
    }
