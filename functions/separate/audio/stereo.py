"""Turn decoded frames into stereo: scaled, mixed down, and free of impossible samples."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import av
import numpy as np
import numpy.typing as npt

from functions.separate.audio.interleave import interleave
from functions.separate.engine import Floats

# ITU-R BS.775-4, annex 4, table 2: centre and surrounds at -3 dB, no low-frequency effects.
_HALF_POWER = 0.5**0.5
_MATRIX: dict[str, tuple[float, float]] = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "FC": (_HALF_POWER, _HALF_POWER),
    "FLC": (1.0, 0.0),
    "FRC": (0.0, 1.0),
    "SL": (_HALF_POWER, 0.0),
    "SR": (0.0, _HALF_POWER),
    "BL": (_HALF_POWER, 0.0),
    "BR": (0.0, _HALF_POWER),
    "BC": (0.5, 0.5),
    "WL": (_HALF_POWER, 0.0),
    "WR": (0.0, _HALF_POWER),
    "TFL": (_HALF_POWER, 0.0),
    "TFR": (0.0, _HALF_POWER),
    "TBL": (0.5, 0.0),
    "TBR": (0.0, 0.5),
    "TC": (0.5, 0.5),
    "TFC": (0.5, 0.5),
    "TBC": (0.5, 0.5),
    "DL": (1.0, 0.0),
    "DR": (0.0, 1.0),
    "LFE": (0.0, 0.0),
    "LFE2": (0.0, 0.0),
}
# The orders of channels that WAVE_FORMAT_EXTENSIBLE and FFmpeg assume if a file names none.
_DEFAULT_NAMES: dict[int, tuple[str, ...]] = {
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
MAX_LOSSY = 4.0
"""The largest sample that is believed from a lossy codec; a clipped song reaches some 2."""
MAX_FLOAT = 1e4
"""The largest sample that is believed from a float format; they are meant to stay below 1."""
_LOSSY_FRAME = 1024  # samples: what is silenced around an impossible one


def samples_of(frame: av.AudioFrame) -> Floats:
    """Return a frame's samples as [n, channels] float32, full scale at 1."""
    samples: npt.NDArray[Any] = frame.to_ndarray()
    if frame.format.is_planar:
        by_sample = interleave(samples)
    else:
        by_sample = samples.reshape(-1, frame.layout.nb_channels)
    floats: Floats = by_sample.astype(np.float32, copy=not frame.format.is_planar)
    if by_sample.dtype == np.uint8:
        floats -= 128
        floats /= 128
    elif np.issubdtype(by_sample.dtype, np.integer):
        floats /= -float(np.iinfo(by_sample.dtype).min)
    return floats


class Silenced(NamedTuple):
    """How many samples were set to 0: those that are no numbers, and those beyond the limit."""

    not_numbers: int
    too_large: int


def silence_impossible(samples: Floats, *, is_lossy: bool) -> Silenced:
    """Set samples to 0, in place, that are no numbers or larger than is believed.

    A lossy codec makes such samples from damaged frames only: there, all around them goes too.
    """
    limit = MAX_LOSSY if is_lossy else MAX_FLOAT
    if np.abs(samples).max(initial=0) <= limit:  # false for NaN
        return Silenced(0, 0)
    not_numbers = ~np.isfinite(samples).all(axis=1)
    too_large = ~not_numbers & (np.abs(samples) > limit).any(axis=1)
    if is_lossy:
        frames = np.zeros(len(samples) // _LOSSY_FRAME + 1, bool)
        frames[np.flatnonzero(not_numbers | too_large) // _LOSSY_FRAME] = True
        damaged = np.repeat(frames, _LOSSY_FRAME)[: len(samples)]
        samples[damaged] = 0
        return Silenced(0, int(damaged.sum()))
    samples[~np.isfinite(samples) | (np.abs(samples) > limit)] = 0
    return Silenced(int(not_numbers.sum()), int(too_large.sum()))


def to_stereo(samples: Floats, names: Sequence[str], *, front_only: bool) -> Floats:
    """Return [n, 2]: mono doubled; more than two channels mixed down, or only the first two.

    `names` are FFmpeg's names of the channels.
    """
    channels = samples.shape[1]
    if channels == 1:
        return np.repeat(samples, 2, axis=1)
    if channels == 2 or front_only:
        return np.ascontiguousarray(samples[:, :2])
    return np.ascontiguousarray(samples @ _downmix(tuple(names), channels))


def _downmix(names: tuple[str, ...], channels: int) -> Floats:
    if len(names) != channels or not set(names) <= set(_MATRIX):
        if channels not in _DEFAULT_NAMES:  # no place is known: the mean on both sides
            return np.full((channels, 2), 1 / channels, np.float32)
        names = _DEFAULT_NAMES[channels]
    return np.array([_MATRIX[name] for name in names], np.float32)
