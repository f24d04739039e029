"""Measure integrated loudness (ITU-R BS.1770, EBU R 128) with FFmpeg's filter ebur128."""

from fractions import Fraction

import av
import av.error
from av.filter import Graph

from functions.separate.engine import SAMPLE_RATE

_SAMPLE_BYTES = 2 * 4  # two channels of float32
_GATE = -70.0
"""LUFS: what is not louder is not measured (BS.1770-5, annex 1, 2.8)."""


class LoudnessMeter:
    """The loudness of a stream of samples. Memory does not grow with its length."""

    def __init__(self) -> None:
        self._graph = Graph()
        self._graph.threads = 1
        source = self._graph.add_abuffer(
            sample_rate=SAMPLE_RATE,
            format="flt",
            layout="stereo",
            time_base=Fraction(1, SAMPLE_RATE),
        )
        filter_ = self._graph.add("ebur128", "metadata=1:framelog=quiet")
        self._graph.link_nodes(source, filter_, self._graph.add("abuffersink")).configure()
        self._position = 0
        self._loudness = _GATE

    def add(self, samples: bytes) -> None:
        """Add interleaved float32 stereo at 44.1 kHz: whole samples. Raises FFmpegError."""
        n = len(samples) // _SAMPLE_BYTES
        if not n:
            return
        frame = av.AudioFrame("flt", "stereo", n)
        frame.planes[0].update(samples)
        frame.sample_rate, frame.pts = SAMPLE_RATE, self._position
        self._position += n
        self._graph.push(frame)
        self._pull()

    def end(self) -> float | None:
        """Return LUFS; None for less than 0.4 s, and for silence. Raises FFmpegError."""
        self._graph.push(None)
        self._pull()
        return self._loudness if self._loudness > _GATE else None

    def _pull(self) -> None:
        """Read the loudness up to the latest frame that the filter has completed."""
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            # the last frame has no value if it is shorter than the 0.1 s that are measured at once
            self._loudness = float(frame.metadata.get("lavfi.r128.I", self._loudness))
