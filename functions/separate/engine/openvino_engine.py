"""An exported HTDemucs network on OpenVINO: CPUs, without torch."""

import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from functions.separate.engine import SAMPLE_RATE, Floats, Seconds
from functions.separate.engine.cores import cores
from functions.separate.engine.spectrum import Transform

F32, BF16 = PRECISIONS = ("f32", "bf16")
_FEW = 2  # cores
_TINY = 1e-5  # as demucs.htdemucs adds it to what it divides by


def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 itself (AVX512_BF16, AMX)."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoEngine:
    """One network in `precision` (f32 or bf16), with `threads` threads (0: one for each core).

    `cache` is a folder in which what was compiled for this processor is kept, or None.
    """

    def __init__(
        self,
        file: Path,
        segment: Fraction,
        nfft: int,
        precision: str,
        cache: Path | None = None,
        threads: int = 0,
    ) -> None:
        self.precision = precision
        self._segment = segment
        self._transform = Transform(int(segment * SAMPLE_RATE), nfft)
        core = openvino.Core()
        if cache:
            core.set_property({"CACHE_DIR": str(cache)})
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads or cores(),
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # others may be here
        }
        self._network = core.compile_model(str(file), "CPU", settings)
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
        request = self._request()
        try:
            answer = request.infer(
                [bins, np.ascontiguousarray(padded.T)[None]], share_inputs=True, share_outputs=True
            )
        except RuntimeError as error:
            if "alloc" in str(error):  # of OpenVINO's own, which has no exception for it
                raise MemoryError(str(error)) from error
            raise
        spectra, waves = answer[0], answer[1]
        spectra *= deviation
        spectra += mean
        estimate = self._transform.inverse(spectra.view(np.complex64)[..., 0])
        waves *= wave_deviation
        waves += wave_mean
        estimate += waves
        return estimate.reshape(-1, 2, self._transform.samples)[..., :n]

    def _request(self) -> Any:
        if not hasattr(self._own, "request"):
            self._own.request = self._network.create_infer_request()
        return self._own.request


def _normalise(values: Floats) -> tuple[np.float32, np.float32]:
    """Take mean and deviation out, in place; what `* deviation + mean` restores."""
    mean = np.float32(values.mean(dtype=np.float64))
    values -= mean
    flat = values.reshape(-1)
    # a sample's deviation, as torch.std: by n - 1
    deviation = np.float32(np.sqrt(float(np.vdot(flat, flat)) / (flat.size - 1)))
    values *= 1 / (np.float32(_TINY) + deviation)
    return mean, deviation
