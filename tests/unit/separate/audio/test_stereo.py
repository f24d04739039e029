import av
import numpy as np
import pytest

from functions.separate.audio.stereo import (
    Silenced,
    samples_of,
    silence_impossible,
    to_stereo,
)

HALF_POWER = 0.5**0.5


@pytest.mark.parametrize(
    ("form", "values"),
    [
        ("u8", np.array([[0, 128, 192, 255]], np.uint8)),
        ("s16", np.array([[-32768, 0, 16384, 32767]], np.int16)),
        ("s32", np.array([[-(2**31), 0, 2**30, 2**31 - 1]], np.int32)),
        ("flt", np.array([[-1, 0, 0.5, 1]], np.float32)),
        ("dbl", np.array([[-1, 0, 0.5, 1]], np.float64)),
    ],
)
def test_full_scale_is_1_in_every_format(form: str, values: np.ndarray) -> None:
    frame = av.AudioFrame.from_ndarray(values, form, "mono")
    assert samples_of(frame).ravel() == pytest.approx([-1, 0, 0.5, 1], abs=0.01)


@pytest.mark.parametrize(
    ("name", "left", "right"),
    [
        ("FL", 1, 0),
        ("FC", HALF_POWER, HALF_POWER),
        ("LFE", 0, 0),
        ("BL", HALF_POWER, 0),
        ("BR", 0, HALF_POWER),
    ],
)
def test_channels_are_mixed_by_bs_775(name: str, left: float, right: float) -> None:
    names = ("FL", "FR", "FC", "LFE", "BL", "BR")
    samples = np.zeros((3, 6), np.float32)
    samples[:, names.index(name)] = 1
    assert to_stereo(samples, names, front_only=False) == pytest.approx(
        np.array([[left, right]] * 3), abs=1e-6
    )


def test_channels_without_names_have_the_usual_order() -> None:
    samples = np.zeros((1, 6), np.float32)
    samples[:, 2] = 1
    assert to_stereo(samples, ["?"] * 6, front_only=False)[0] == pytest.approx([HALF_POWER] * 2)


def test_possible_samples_stay_as_they_are() -> None:
    samples = np.array([[9_999, -9_999]], np.float32)
    assert silence_impossible(samples, is_lossy=False) == Silenced(0, 0)
    assert samples[0, 0] == 9_999


def test_samples_that_are_no_numbers_are_silenced_one_by_one() -> None:
    samples = np.ones((9, 2), np.float32)
    samples[3, 0], samples[5, 1], samples[7, 1] = np.nan, np.inf, 1e30
    assert silence_impossible(samples, is_lossy=False) == Silenced(2, 1)
    assert samples.sum() == 15


def test_a_lossy_codec_loses_all_around_an_impossible_sample() -> None:
    samples = np.ones((4096, 2), np.float32)
    samples[1500, 0] = 5
    assert silence_impossible(samples, is_lossy=True) == Silenced(0, 1024)
    assert not samples[1024:2048].any()
    assert samples[:1024].all()


def test_many_channels_without_places_are_averaged() -> None:
    samples = np.ones((3, 24), np.float32)
    assert to_stereo(samples, ["?"] * 24, front_only=False) == pytest.approx(np.ones((3, 2)))
