"""Channels one after the other in memory."""

import numpy as np
import pytest

from functions.separate.audio.interleave import interleave


@pytest.mark.parametrize("type_", ["f4", "i2", "u1"])
def test_the_samples_of_all_channels_follow_each_other_in_memory(type_: str) -> None:
    channels = np.arange(15).reshape(3, 5).astype(type_)
    interleaved = interleave(channels)
    assert interleaved.dtype == channels.dtype
    assert interleaved.flags.c_contiguous
    assert interleaved.tobytes() == bytes(channels.T.copy())


def test_the_channels_may_be_views_and_are_not_changed() -> None:
    block = np.arange(12, dtype=np.float32).reshape(2, 6)
    interleaved = interleave(block[:, ::2])
    interleaved += 1
    assert interleaved.tolist() == [[1, 7], [3, 9], [5, 11]]
    assert block.tolist() == np.arange(12).reshape(2, 6).tolist()


def test_no_samples_are_no_samples() -> None:
    assert interleave(np.zeros((2, 0), np.float32)).shape == (0, 2)
