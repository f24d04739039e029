"""The transforms equal those of demucs' HTDemucs."""

from typing import Any

import numpy as np
import pytest
import torch
from demucs.htdemucs import HTDemucs

from functions.separate.engine import Floats
from functions.separate.engine.openvino_backend.stft import Transform
from tests.integration.separate.engine.comparison import SOURCES, decibels

LENGTHS = pytest.mark.parametrize("samples", [88_200, 343_980])


def noise(samples: int) -> Floats:
    return np.random.default_rng(2).standard_normal((2, samples)).astype(np.float32)


def htdemucs(samples: int) -> Any:
    return HTDemucs(SOURCES, channels=8, t_layers=0, segment=samples / 44_100)


@LENGTHS
def test_the_transform_equals_that_of_demucs(samples: int) -> None:
    mix = noise(samples)
    expected = htdemucs(samples)._spec(torch.from_numpy(mix)[None])[0].numpy().transpose(0, 2, 1)
    found = Transform(samples, 4096).forward(mix)
    assert found.shape == expected.shape
    assert decibels(found.view(np.float32), expected.view(np.float32)) < -120


@LENGTHS
def test_the_inverse_transform_equals_that_of_demucs(samples: int) -> None:
    transform = Transform(samples, 4096)
    spectra = transform.forward(noise(samples))
    z = torch.from_numpy(np.ascontiguousarray(spectra.transpose(0, 2, 1)))[None]
    expected = htdemucs(samples)._ispec(z, samples)[0].numpy()
    found = transform.inverse(spectra)
    assert found.shape == expected.shape
    assert decibels(found, expected) < -120


def test_an_error_in_a_thread_is_raised() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        Transform(88_200, 4096).forward(noise(44_100))
