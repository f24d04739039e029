"""What separates one segment, whatever runs the network; a model is one or a bag of them.

The overlap-add (functions.separate.engine.overlap_add) and everything above it know engines by this only.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

# before numpy, which reads it once: its threads would spin beside those of the network
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 44_100
"""Hz. Every model here hears and says stereo at this rate."""

# OpenVINO's Python package tells Google Analytics of each import; without its reporter it does not.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

Floats = npt.NDArray[np.float32]
Seconds = float | Fraction


class UnusableWeights(ValueError):
    """These weights make no model that can work here; the text says why."""


class Engine(Protocol):
    """One network, in as many threads at once as `parallel` says."""

    @property
    def parallel(self) -> int:
        """How many threads may be in `separate` at once."""

    @property
    def segment(self) -> Seconds:
        """How long a segment is where the options do not say."""

    @property
    def longest(self) -> float:
        """The longest segment it takes, in s; inf where it takes any."""

    def window(self, n: int, segment: Seconds) -> int:
        """How many samples it wants to see to separate `n` of them.

        `segment` is the option's value, 0 where it is not given.
        """

    def separate(self, mix: Floats) -> Floats:
        """[2, n] of the normalised mix → [sources, 2, n]. Raises MemoryError."""


@dataclass(frozen=True, slots=True)
class Model:
    """Engines whose estimates are averaged, each source with its own weights.

    `weights` has a row for each engine, a column for each source. `note` says what a listener
    must know of the model's quality, or is "".
    """

    name: str
    sources: tuple[str, ...]
    engines: tuple[Engine, ...]
    weights: Sequence[Sequence[float]]
    note: str = ""

    @property
    def longest(self) -> float:
        """The longest segment that all engines take, in s."""
        return min(engine.longest for engine in self.engines)
