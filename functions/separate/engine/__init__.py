"""The engine interface: one network that separates one segment.

A model is one engine or an ensemble ("bag") of them. The overlap-add and everything above it use
only what is defined here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from functions.separate.engine import process
from microdemucs.models import SAMPLE_RATE as SAMPLE_RATE
from microdemucs.models import CannotBuild as CannotBuild
from microdemucs.models import UnusableWeights as UnusableWeights

process.use_one_openblas_thread()  # before numpy's import
process.use_small_pages()  # before numpy's import
process.disable_openvino_telemetry()  # before OpenVINO's import

import numpy as np  # noqa: E402 (see above)
import numpy.typing as npt  # noqa: E402

Floats = npt.NDArray[np.float32]
Seconds = float | Fraction


class Engine(Protocol):
    """One network."""

    @property
    def concurrency(self) -> int:
        """How many threads may call `separate` at once."""

    @property
    def segment(self) -> Seconds:
        """The default length of a segment."""

    @property
    def max_segment(self) -> float:
        """The longest segment that the network accepts, in seconds; inf for no limit."""

    def input_length(self, n: int, segment: Seconds) -> int:
        """Return how many samples `separate` needs to separate `n` of them.

        `segment` is the job's option, 0 for the default.
        """

    def separate(self, mix: Floats) -> Floats:
        """Separate a normalized mix [2, n] into [sources, 2, n]. Raises MemoryError."""


@dataclass(frozen=True, slots=True)
class Model:
    """One or more engines, whose estimates are averaged for each source.

    `weights` has one row per engine and one column per source. `note` is a warning about the
    model's quality for users, or "".
    """

    name: str
    sources: tuple[str, ...]
    engines: tuple[Engine, ...]
    weights: Sequence[Sequence[float]]
    note: str = ""

    @property
    def max_segment(self) -> float:
        """The longest segment that all engines accept, in seconds."""
        return min(engine.max_segment for engine in self.engines)
