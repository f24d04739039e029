"""Samples of all channels one after the other, as most files have them."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

_Number = TypeVar("_Number", bound=np.number)


def interleave(channels: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """Return [channels, n] as a new array [n, channels].

    Copying channel by channel takes a fifth of the time of numpy's copy of a transposed array.
    """
    interleaved = np.empty(channels.shape[::-1], channels.dtype)
    for index, channel in enumerate(channels):
        interleaved[:, index] = channel
    return interleaved
