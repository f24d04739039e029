import math

import pytest

from functions.upload.encoding.task import Gains
from functions.upload.mixes import describe_mix, gains_of, read_gains
from microdemucs.problems import Problem

NAMES = ["drums", "vocals", "no_vocals"]


def test_a_stem_without_a_parameter_is_as_it_is() -> None:
    assert read_gains(NAMES, {})["drums"] == Gains()


def test_volume_and_pan_are_parameters_of_each_stem() -> None:
    gains = read_gains(NAMES, {"drums": "0.5", "vocals.pan": "-1", "share": "x"})
    assert gains["drums"] == Gains(0.5, 0.0, 0.0, 0.5) == gains_of(0.5, 0)
    assert gains["vocals"] == gains_of(1, -1)


@pytest.mark.parametrize(
    ("pan", "left", "right"),
    [
        (-1, (1, 1), (0, 0)),
        (0, (1, 0), (0, 1)),
        (1, (0, 0), (1, 1)),
        (-0.5, (1, math.sqrt(0.5)), (0, math.sqrt(0.5))),
        (0.5, (math.sqrt(0.5), 0), (math.sqrt(0.5), 1)),
    ],
)
def test_pan_has_the_gains_of_the_browsers_panner(
    pan: float, left: tuple[float, float], right: tuple[float, float]
) -> None:
    gains = gains_of(2, pan)
    assert (gains.left_to_left / 2, gains.right_to_left / 2) == pytest.approx(left, abs=1e-12)
    assert (gains.left_to_right / 2, gains.right_to_right / 2) == pytest.approx(right, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *[("drums", text) for text in ("", "x", "nan", "inf", "-0.1", "4.01", "1e999", "0x1")],
        *[("drums", text) for text in ("0_1", " 1", "+1", "1e", "\u0661")],
        *[("drums.pan", text) for text in ("-1.01", "1.01", "left", "--1", "-0_1", "-", "- 1")],
    ],
)
def test_another_value_is_refused_with_what_is_accepted(name: str, text: str) -> None:
    with pytest.raises(Problem) as caught:
        read_gains(NAMES, {name: text})
    assert caught.value.extensions["member"] == name
    assert "a number from" in caught.value.detail


@pytest.mark.parametrize("name", ["bass", "drums.volume", "pan", "Drums", ""])
def test_a_parameter_of_no_stem_is_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(Problem) as caught:
        read_gains(NAMES, {name: "1"})
    assert "drums, drums.pan, vocals" in caught.value.detail


@pytest.mark.parametrize(
    ("volumes", "description"),
    [
        ({"drums": 1, "bass": 0.5, "vocals": 4}, "mix"),
        ({"drums": 0, "bass": 0, "vocals": 0}, "mix"),
        ({"drums": 1, "bass": 1, "vocals": 0}, "without vocals"),
        ({"drums": 1, "bass": 1, "other": 0, "vocals": 0}, "without other and vocals"),
        ({"vocals": 0, "no_vocals": 1}, "without vocals"),
        ({"drums": 0, "bass": 0, "vocals": 0.1}, "vocals"),
    ],
)
def test_a_mix_is_described_by_the_stems_that_it_has(
    volumes: dict[str, float], description: str
) -> None:
    assert describe_mix({name: gains_of(volume, 0) for name, volume in volumes.items()}) == (
        description
    )
