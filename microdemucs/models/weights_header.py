"""The header of a network's file: its class and its arguments, without its tensors.

demucs publishes a network as safetensors: 8 bytes with the length of the header (little endian),
the header as JSON, then the tensors. The header's `__metadata__` has `klass`, `args` and `kwargs`,
the latter two as JSON in which a fraction is {"_type": "fraction", "numerator": …,
"denominator": …} (demucs 4.1, hf.py).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from microdemucs.models import UnusableWeights

ReadBytes = Callable[[int, int], bytes]
"""Returns at most so many bytes of a file: (offset, size)."""

_FIRST_BYTES = 1 << 17  # all of htdemucs' header, which has 60 kB
_MAX_HEADER_BYTES = 1 << 24


@dataclass(frozen=True)
class NetworkHeader:
    """A network's class (`demucs.htdemucs.HTDemucs`) and its arguments."""

    class_name: str
    positional: list[Any]
    keywords: dict[str, Any]
    is_quantized: bool = field(default=False, kw_only=True)


def read_header(file_name: str, file_size: int, read: ReadBytes) -> NetworkHeader:
    """Read the header of a .safetensors file of so many bytes.

    Raises UnusableWeights, also for a file that is not complete, and what `read` raises.
    """
    start = read(0, _FIRST_BYTES)
    size = int.from_bytes(start[:8], "little")
    if len(start) < 8 or not 2 <= size <= _MAX_HEADER_BYTES:
        raise _unreadable(file_name, "it has no header")
    if len(start) < 8 + size:
        start += read(len(start), 8 + size - len(start))
    try:
        header = json.loads(start[8 : 8 + size])
        metadata = header.pop("__metadata__", None) or {}
        ends = [tensor["data_offsets"][1] for tensor in header.values()]
        if 8 + size + max(ends, default=0) != file_size:
            raise ValueError(f"it is not complete: it has {file_size} bytes")
        if not isinstance(metadata, dict):
            raise TypeError("its metadata is no object")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise _unreadable(file_name, str(error)) from error
    return parse_metadata(file_name, metadata)


def parse_metadata(file_name: str, metadata: Mapping[str, str]) -> NetworkHeader:
    """Parse the metadata of a .safetensors file. Raises UnusableWeights."""
    try:
        positional, keywords = (
            json.loads(metadata[name], object_hook=_fraction) for name in ("args", "kwargs")
        )
        return NetworkHeader(
            str(metadata["klass"]),
            list(positional),
            dict(keywords),
            is_quantized="structure" in metadata,
        )
    except KeyError as error:
        raise UnusableWeights(f"{file_name} lacks {error} in its metadata") from error
    except (TypeError, ValueError, ZeroDivisionError, RecursionError) as error:
        raise _unreadable(file_name, str(error)) from error


def _unreadable(file_name: str, reason: str) -> UnusableWeights:
    return UnusableWeights(f"{file_name} is no readable safetensors file: {reason}")


def _fraction(value: dict[str, Any]) -> Any:
    if value.get("_type") == "fraction":
        return Fraction(value["numerator"], value["denominator"])
    return value
