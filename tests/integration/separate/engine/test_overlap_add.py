"""The streaming overlap-add gives what demucs.apply.apply_model gives."""

import random

import numpy as np
import pytest
import torch
from demucs.apply import BagOfModels
from demucs.hdemucs import HDemucs
from demucs.hf import load_safetensors_model
from demucs.htdemucs import HTDemucs

from functions.separate.engine import overlap_add
from functions.separate.engine.overlap_add import Plan
from functions.separate.engine.registry import BUNDLED
from functions.separate.engine.torch_engine import model_of
from tests.integration.separate.engine.heard import SEGMENT, STRIDE, ours, reader, theirs
from tests.integration.separate.sounds import decibels


@pytest.fixture(scope="module")
def network():
    return load_safetensors_model(f"models/{BUNDLED}/{BUNDLED}.safetensors").eval()


def noise(length: int) -> np.ndarray:
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
def test_any_length_and_option_is_within_120_decibels_of_demucs(network, length, options):
    mix = noise(length)
    right = theirs(network, mix, shifts=0, **options)
    found = ours(network, mix, **options)
    assert found.shape == right.shape
    assert decibels(found, right) < -120


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch):
    """Have demucs draw its shifts as a seed of ours does."""

    def seed(text: str) -> None:
        monkeypatch.setattr("demucs.apply.random", random.Random(text))

    return seed


@pytest.mark.parametrize(
    ("length", "options"),
    [
        (1, {"shifts": 1}),
        (SEGMENT - 3, {"shifts": 2}),
        (50_000, {"shifts": 2, "segment": 1, "overlap": 0.3}),
        (STRIDE - 11_025, {"shifts": 2}),  # some passes end within a window, some begin another
    ],
)
def test_shifted_passes_are_those_of_demucs_with_the_same_offsets(network, draws, length, options):
    mix = noise(length)
    draws("the job's id")
    right = theirs(network, mix, **options)
    assert decibels(ours(network, mix, seed="the job's id", **options), right) < -120


@pytest.mark.parametrize("shifts", [0, 2])
def test_a_bag_of_unlike_models_is_averaged_as_demucs_does(network, draws, shifts):
    torch.manual_seed(1)
    other = HDemucs(list(network.sources), channels=4, segment=2.2).eval()
    weights = [[1.0, 0.0, 0.25, 1.0], [3.0, 1.0, 0.5, 0.0]]
    bag, mix = BagOfModels([network, other], weights), noise(SEGMENT + 999)
    draws("bag")
    right = theirs(bag, mix, shifts=shifts)
    assert decibels(ours(bag, mix, shifts=shifts, seed="bag"), right) < -115


def test_htdemucs_itself_is_within_120_decibels(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(2)
    full = HTDemucs(["drums", "bass", "other", "vocals"], segment=7.8, channels=48).eval()
    mix = noise(int(7.8 * 44_100) - 77)
    assert decibels(ours(full, mix), theirs(full, mix, shifts=0)) < -120


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
def test_ranges_joined_are_the_whole_bit_for_bit(network, cuts, options):
    mix = noise(3 * STRIDE + 5)
    assert np.array_equal(ours(network, mix, *cuts, **options), ours(network, mix, **options))


def test_ranges_of_a_bag_are_the_whole_bit_for_bit(network):
    torch.manual_seed(1)
    other = HDemucs(list(network.sources), channels=4, segment=2.2).eval()
    bag = BagOfModels([network, other], [[1.0, 0.0, 0.25, 1.0], [3.0, 1.0, 0.5, 0.0]])
    mix = noise(2 * SEGMENT + 999)
    assert np.array_equal(ours(bag, mix, 1, 3, 4, shifts=1), ours(bag, mix, shifts=1))


def test_blocks_come_as_soon_as_no_later_window_reaches_them(network):
    mix = noise(3 * STRIDE + 5)
    plan = Plan.of(model_of("tested", network), mix.shape[1])
    blocks = list(overlap_add.separate(plan, reader(mix), lambda share: None))
    assert [at for at, _ in blocks] == [0, STRIDE, 2 * STRIDE, 3 * STRIDE]
    assert [block.shape[-1] for _, block in blocks] == [STRIDE, STRIDE, STRIDE, 5]


def test_what_the_check_raises_ends_the_work(network):
    shares = []

    def check(share: float) -> None:
        shares.append(share)
        if share >= 0.5:
            raise InterruptedError

    plan = Plan.of(model_of("tested", network), 4 * STRIDE)
    with pytest.raises(InterruptedError):
        list(overlap_add.separate(plan, reader(noise(4 * STRIDE)), check))
    assert shares == [0, 0.25, 0.5]
