"""The OpenVINO engine: runs a compiled HTDemucs network on a CPU, without torch."""

import threading
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from functions.separate.engine import SAMPLE_RATE, Floats, Seconds
from functions.separate.engine.cores import cores
from functions.separate.engine.openvino_backend.stft import Transform

_FEW_CORES = 2
_EPSILON = 1e-5  # demucs.htdemucs.HTDemucs.forward adds it to a standard deviation


class OpenVinoEngine:
    """One network that is compiled in `precision` (f32 or bf16). `stages` run in this order."""

    def __init__(self, stages: Sequence[Any], segment: Fraction, nfft: int, precision: str) -> None:
        self.precision = precision
        self._segment = segment
        self._transform = Transform(int(segment * SAMPLE_RATE), nfft)
        self._stages = stages
        self._local = threading.local()

    @property
    def concurrency(self) -> int:
        """How many threads may call `separate` at once.

        Two: one transforms while the other runs the network. On one or two cores the encoders
        already use the time between windows, and a second window only takes memory.
        """
        return 2 if cores() > _FEW_CORES else 1

    @property
    def segment(self) -> Seconds:
        """The default length of a segment: the one that the network was trained on."""
        return self._segment

    @property
    def max_segment(self) -> float:
        """The longest segment, in seconds: the one that the network was trained on."""
        return float(self._segment)

    def input_length(self, n: int, segment: Seconds) -> int:  # noqa: ARG002 (of the interface)
        """Return how many samples `separate` needs, as demucs.apply.apply_model does."""
        return int(segment * SAMPLE_RATE) if segment else self._transform.samples

    def separate(self, mix: Floats) -> Floats:
        """Separate a normalized mix [2, n] into [sources, 2, n]. Raises MemoryError."""
        n = mix.shape[1]
        wave = np.zeros((2, self._transform.samples), np.float32)
        wave[:, :n] = mix
        spectrum = self._transform.forward(wave)
        bins = np.ascontiguousarray(spectrum).view(np.float32).reshape(*spectrum.shape, 2)
        bins_mean, bins_deviation = _normalize(bins)
        wave_mean, wave_deviation = _normalize(wave)
        requests = self._requests()
        inputs = [bins, np.ascontiguousarray(wave.T)[None]]
        try:
            requests[0].infer(inputs, share_inputs=True, share_outputs=True)
            for request in requests[1:]:
                request.infer(share_outputs=True)
        except RuntimeError as error:
            if "alloc" in str(error):  # OpenVINO has no exception of its own for it
                raise MemoryError(str(error)) from error
            raise
        # Both outputs are changed in place, in the memory of this thread's requests.
        spectra, waves = (requests[-1].get_output_tensor(index).data for index in range(2))
        spectra *= bins_deviation
        spectra += bins_mean
        estimate = self._transform.inverse(spectra.view(np.complex64)[..., 0])
        waves *= wave_deviation
        waves += wave_mean
        estimate += waves
        return estimate.reshape(-1, 2, self._transform.samples)[..., :n]

    def _requests(self) -> list[Any]:
        """Return this thread's inference requests; each reads where the previous one wrote."""
        if not hasattr(self._local, "requests"):
            requests = [stage.create_infer_request() for stage in self._stages]
            for previous, request in pairwise(requests):
                for index in range(len(request.model_inputs)):
                    request.set_input_tensor(index, previous.get_output_tensor(index))
            self._local.requests = requests
        return self._local.requests  # type: ignore[no-any-return]


def _normalize(values: Floats) -> tuple[np.float32, np.float32]:
    """Normalize in place, as HTDemucs.forward does; return mean and standard deviation."""
    mean = np.float32(values.mean(dtype=np.float64))
    values -= mean
    flat = values.reshape(-1)
    # divided by n - 1, as torch.std
    deviation = np.float32(np.sqrt(float(np.vdot(flat, flat)) / (flat.size - 1)))
    values *= 1 / (np.float32(_EPSILON) + deviation)
    return mean, deviation
