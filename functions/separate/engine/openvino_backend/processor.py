"""The processor for which a network is compiled."""

import hashlib
import platform
from functools import cache
from pathlib import Path

import openvino

F32, BF16 = PRECISIONS = ("f32", "bf16")

_MODEL_LINES = ("vendor_id", "model name", "flags", "Features", "CPU implementer", "CPU part")
"""Of /proc/cpuinfo, on x86 and on ARM."""


@cache
def has_bf16() -> bool:
    """Return whether this processor multiplies bfloat16 in hardware (AVX512_BF16, AMX)."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def precisions() -> tuple[str, ...]:
    """Return the precisions in which this processor multiplies in hardware."""
    return PRECISIONS if has_bf16() else (F32,)


@cache
def processor_digest() -> str:
    """Return a digest of the kind of this processor: its model and its instruction sets."""
    try:
        first_core = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        first_core = platform.processor()
    lines = [line for line in first_core.splitlines() if line.split("\t")[0] in _MODEL_LINES]
    return hashlib.sha256("\n".join([platform.machine(), *lines]).encode()).hexdigest()[:16]
