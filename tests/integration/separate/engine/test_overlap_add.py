"""The streaming overlap-add equals demucs.apply.apply_model."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from demucs.apply import BagOfModels
from demucs.hdemucs import HDemucs
from demucs.hf import load_safetensors_model
from demucs.htdemucs import HTDemucs

from functions.separate.engine import Floats
from tests.integration.separate.engine.comparison import (
    SEGMENT,
    SOURCES,
    STRIDE,
    WEIGHTS,
    decibels,
    separate,
    separate_with_demucs,
)

Seed = Callable[[str], None]


@pytest.fixture(scope="module")
def network() -> Any:
    """The bundled network on torch."""
    return load_safetensors_model(WEIGHTS).eval()


@pytest.fixture(scope="module")
def ensemble(network: Any) -> BagOfModels:
    """Two networks of different architectures, segments and weights."""
    torch.manual_seed(1)
    other = HDemucs(SOURCES, channels=4, segment=2.2).eval()
    return BagOfModels([network, other], [[1.0, 0.0, 0.25, 1.0], [3.0, 1.0, 0.5, 0.0]])


@pytest.fixture
def seed_demucs(monkeypatch: pytest.MonkeyPatch) -> Seed:
    """Have demucs draw its shifts from a seed, as Plan.of does."""

    def seed_demucs(seed: str) -> None:
        monkeypatch.setattr("demucs.apply.random", random.Random(seed))

    return seed_demucs


def noise(length: int) -> Floats:
    return np.random.default_rng(length).standard_normal((2, length)).astype(np.float32)


@pytest.mark.parametrize(
    ("length", "options"),
    [
        (1, {}),
        (2, {}),
        (1000, {}),
        (STRIDE - 1, {}),
        (STRIDE, {}),
        (STRIDE + 1, {}),
        (SEGMENT - 1, {}),
        (SEGMENT, {}),
        (SEGMENT + 1, {}),
        (3 * STRIDE + 1, {}),
        (2 * SEGMENT + 1234, {}),
        (SEGMENT + 1, {"overlap": 0.0}),
        (601, {"overlap": 0.8, "segment": 0.02}),
        (70_000, {"overlap": 0.55, "segment": 1}),
        (SEGMENT + 1, {"segment": 2.5}),
    ],
)
def test_any_length_and_option_is_within_120_decibels_of_demucs(
    network: Any, length: int, options: dict[str, Any]
) -> None:
    mix = noise(length)
    expected = separate_with_demucs(network, mix, shifts=0, **options)
    found = separate(network, mix, **options)
    assert found.shape == expected.shape
    assert decibels(found, expected) < -120


@pytest.mark.parametrize(
    ("length", "options"),
    [
        (1, {"shifts": 1}),
        (SEGMENT - 3, {"shifts": 2}),
        (50_000, {"shifts": 2, "segment": 1, "overlap": 0.3}),
        (STRIDE - 11_025, {"shifts": 2}),  # some passes end within a window, some begin another
    ],
)
def test_shifted_passes_equal_those_of_demucs_with_the_same_shifts(
    network: Any, seed_demucs: Seed, length: int, options: dict[str, Any]
) -> None:
    mix = noise(length)
    seed_demucs("the job's id")
    expected = separate_with_demucs(network, mix, **options)
    assert decibels(separate(network, mix, seed="the job's id", **options), expected) < -120


@pytest.mark.parametrize("shifts", [0, 2])
def test_an_ensemble_is_averaged_as_demucs_does(
    ensemble: BagOfModels, seed_demucs: Seed, shifts: int
) -> None:
    mix = noise(SEGMENT + 999)
    seed_demucs("ensemble")
    expected = separate_with_demucs(ensemble, mix, shifts=shifts)
    assert decibels(separate(ensemble, mix, shifts=shifts, seed="ensemble"), expected) < -115


def test_a_network_of_full_size_is_within_120_decibels_of_demucs() -> None:
    torch.manual_seed(2)
    full = HTDemucs(SOURCES, segment=7.8, channels=48).eval()
    mix = noise(int(7.8 * 44_100) - 77)
    assert decibels(separate(full, mix), separate_with_demucs(full, mix, shifts=0)) < -120


@pytest.mark.parametrize(
    ("cuts", "options"),
    [
        ([2], {}),
        ([1, 2, 3], {}),
        ([2], {"overlap": 0.0}),
        ([2, 4, 5], {"overlap": 0.75}),
        ([1, 2, 3, 4, 5, 6], {"overlap": 0.9}),
        ([1, 4, 6], {"shifts": 2}),
        ([3], {"segment": 1.1, "shifts": 3, "overlap": 0.6}),
    ],
)
def test_joined_ranges_equal_the_whole_bit_for_bit(
    network: Any, cuts: list[int], options: dict[str, Any]
) -> None:
    mix = noise(3 * STRIDE + 5)
    ranges = separate(network, mix, *cuts, **options)
    assert np.array_equal(ranges, separate(network, mix, **options))


def test_joined_ranges_of_an_ensemble_equal_the_whole_bit_for_bit(ensemble: BagOfModels) -> None:
    mix = noise(2 * SEGMENT + 999)
    ranges = separate(ensemble, mix, 1, 3, 4, shifts=1)
    assert np.array_equal(ranges, separate(ensemble, mix, shifts=1))
