"""An exported HTDemucs network on OpenVINO: CPUs, without torch."""

import threading
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from functions.separate.engine import SAMPLE_RATE, Floats, Seconds
from functions.separate.engine.cores import cores
from functions.separate.engine.openvino_backend.compile import compiled
from functions.separate.engine.openvino_backend.stft import Transform

F32, BF16 = PRECISIONS = ("f32", "bf16")
_FEW = 2  # cores
_TINY = 1e-5  # as demucs.htdemucs adds it to what it divides by


def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 itself (AVX512_BF16, AMX)."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def precisions() -> tuple[str, ...]:
    """Those in which this processor multiplies."""
    return PRECISIONS if has_bf16() else (F32,)


class OpenVinoEngine:
    """One network in `precision` (f32 or bf16), with `threads` threads (0: one for each core).

    `parts` are its files, in order. `cache` is a folder in which what was compiled for this
    processor is kept, or None.
    """

    def __init__(
        self,
        parts: Sequence[Path],
        segment: Fraction,
        nfft: int,
        precision: str,
        cache: Path | None = None,
        threads: int = 0,
    ) -> None:
        self.precision = precision
        self._segment = segment
        self._transform = Transform(int(segment * SAMPLE_RATE), nfft)
        self._parts = compiled(parts, precision, cache, threads or cores())
        self._own = threading.local()

    @property
    def parallel(self) -> int:
        """Two, so that one transforms while the network hears the other.

        With few cores the encoders have the network's gaps, and a second window is but memory.
        """
        return 2 if cores() > _FEW else 1

    @property
    def segment(self) -> Seconds:
        """How long a segment is where the options do not say."""
        return self._segment

    @property
    def longest(self) -> float:
        """It takes what it was exported for, which is what it was trained on."""
        return float(self._segment)

    def window(self, n: int, segment: Seconds) -> int:
        """As demucs.apply.apply_model has it for HTDemucs."""
        return int(segment * SAMPLE_RATE) if segment else self._transform.samples

    def separate(self, mix: Floats) -> Floats:
        """[2, n] of the normalised mix → [sources, 2, n]. Raises MemoryError."""
        n = mix.shape[1]
        padded = np.zeros((2, self._transform.samples), np.float32)
        padded[:, :n] = mix
        spectrum = self._transform.forward(padded)
        bins = np.ascontiguousarray(spectrum).view(np.float32).reshape(*spectrum.shape, 2)
        mean, deviation = _normalise(bins)
        wave_mean, wave_deviation = _normalise(padded)
        requests = self._requests()
        inputs = [bins, np.ascontiguousarray(padded.T)[None]]
        try:
            requests[0].infer(inputs, share_inputs=True, share_outputs=True)
            for request in requests[1:]:
                request.infer(share_outputs=True)
        except RuntimeError as error:
            if "alloc" in str(error):  # of OpenVINO's own, which has no exception for it
                raise MemoryError(str(error)) from error
            raise
        spectra, waves = (requests[-1].get_output_tensor(index).data for index in range(2))
        spectra *= deviation
        spectra += mean
        estimate = self._transform.inverse(spectra.view(np.complex64)[..., 0])
        waves *= wave_deviation
        waves += wave_mean
        estimate += waves
        return estimate.reshape(-1, 2, self._transform.samples)[..., :n]

    def _requests(self) -> list[Any]:
        """This thread's own, each of which reads where the one before it wrote."""
        if not hasattr(self._own, "requests"):
            requests = [part.create_infer_request() for part in self._parts]
            for before, after in pairwise(requests):
                for index in range(len(after.model_inputs)):
                    after.set_input_tensor(index, before.get_output_tensor(index))
            self._own.requests = requests
        return self._own.requests  # type: ignore[no-any-return]


def _normalise(values: Floats) -> tuple[np.float32, np.float32]:
    """Take mean and deviation out, in place; what `* deviation + mean` restores."""
    mean = np.float32(values.mean(dtype=np.float64))
    values -= mean
    flat = values.reshape(-1)
    # a sample's deviation, as torch.std: by n - 1
    deviation = np.float32(np.sqrt(float(np.vdot(flat, flat)) / (flat.size - 1)))
    values *= 1 / (np.float32(_TINY) + deviation)
    return mean, deviation
