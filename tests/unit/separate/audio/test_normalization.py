"""The normalization equals demucs' (demucs.api.Separator.separate_tensor)."""

import numpy as np
import numpy.typing as npt
import pytest

from functions.separate.audio.normalization import EPSILON, Normalization, RunningStatistics

Samples = npt.NDArray[np.float32]
SAMPLES: Samples = np.random.default_rng(0).standard_normal((10_000, 2)).astype(np.float32) + 3


def statistics(samples: Samples, *sizes: int) -> RunningStatistics:
    running = RunningStatistics()
    for block in np.split(samples, np.cumsum(sizes)):
        running.add(block)
    return running


@pytest.mark.parametrize("sizes", [(), (1, 2, 3), (0, 5000), (9999,)], ids=str)
def test_statistics_do_not_depend_on_the_blocks(sizes: tuple[int, ...]) -> None:
    mono = SAMPLES.astype(np.float64).mean(1)
    running = statistics(SAMPLES, *sizes)
    assert running.n == len(SAMPLES)
    assert running.mean == pytest.approx(mono.mean(), rel=1e-12)
    assert running.standard_deviation == pytest.approx(mono.std(ddof=1), rel=1e-12)


@pytest.mark.parametrize("n", [0, 1])
def test_the_standard_deviation_of_less_than_two_samples_is_zero(n: int) -> None:
    assert statistics(SAMPLES[:n]).standard_deviation == 0


def test_the_divisor_is_the_standard_deviation_and_epsilon() -> None:
    assert Normalization(0.0, 0.5).divisor == 0.5 + 1e-8
    assert EPSILON == 1e-8


def test_silence_is_normalized_to_silence() -> None:
    silence = np.zeros((2, 5), np.float32)
    assert not Normalization(0.0, 0.0).normalize(silence).any()


def test_normalized_samples_have_mean_zero_and_deviation_one() -> None:
    running = statistics(SAMPLES)
    normalized = Normalization(running.mean, running.standard_deviation).normalize(SAMPLES.T)
    mono = normalized.mean(0)
    assert mono.mean() == pytest.approx(0, abs=1e-5)
    assert mono.std(ddof=1) == pytest.approx(1, rel=1e-4)
    assert normalized.dtype == np.float32


def test_denormalize_is_the_inverse_in_place() -> None:
    normalization = Normalization(0.25, 3.0)
    normalized = normalization.normalize(SAMPLES.T)
    restored = normalization.denormalize(normalized)
    assert restored is normalized
    assert np.allclose(restored, SAMPLES.T, atol=1e-5)
