"""Stems, plans and blocks of a real model."""

import io

import numpy as np
import pytest

from functions.separate.audio.decoder import DecodedSong
from functions.separate.engine import Model
from functions.separate.engine.locate import BUNDLED
from functions.separate.engine.registry import ModelRegistry
from functions.separate.stems import Stem, choose_stems, make_plan, separate_song
from microdemucs.audio_facts import AudioFacts
from microdemucs.options import BadOption, Options
from tests.integration.separate.sounds import Samples, music

MIX = music(5)


@pytest.fixture(scope="module")
def model(models: ModelRegistry) -> Model:
    return models.load(models.choose(BUNDLED))


@pytest.mark.parametrize(
    ("options", "detail"),
    [
        ({"two_stems": "piano"}, "two_stems is 'piano'; it accepts drums, bass, other, vocals"),
        ({"stems": ("drums", "choir")}, "stems is 'choir'; it accepts drums, bass, other, vocals"),
        ({"segment": 7.5}, f"segment is '7.5'; it accepts 1 to 3.9 with {BUNDLED}"),
    ],
    ids=["two_stems", "stems", "segment"],
)
def test_an_option_that_the_model_does_not_accept(
    model: Model, options: dict[str, object], detail: str
) -> None:
    with pytest.raises(BadOption) as raised:
        choose_stems(model, Options(**options))  # type: ignore[arg-type]
    assert raised.value.detail == detail


@pytest.mark.parametrize(
    ("options", "stems"),
    [
        ({}, [("drums", (0,)), ("bass", (1,)), ("other", (2,)), ("vocals", (3,))]),
        ({"stems": ("vocals", "drums")}, [("drums", (0,)), ("vocals", (3,))]),
        ({"two_stems": "bass"}, [("bass", (1,)), ("no_bass", (0, 2, 3))]),
    ],
    ids=["all", "some", "two_stems"],
)
def test_the_stems_are_those_of_the_options_in_the_models_order(
    model: Model, options: dict[str, object], stems: list[tuple[str, tuple[int, ...]]]
) -> None:
    chosen = choose_stems(model, Options(**options))  # type: ignore[arg-type]
    assert chosen == [Stem(name, sources) for name, sources in stems]


def test_the_same_job_has_the_same_plan(model: Model) -> None:
    shifted = Options(shifts=3)
    plan = make_plan(model, 500_000, shifted, seed="a job")
    assert make_plan(model, 500_000, shifted, seed="a job").windows == plan.windows
    assert make_plan(model, 500_000, shifted, seed="another job").windows != plan.windows


def song_of(mix: Samples, mean: float, standard_deviation: float) -> DecodedSong:
    audio = AudioFacts(
        container="wav",
        codec="pcm_f32le",
        sample_rate=44_100,
        channels=2,
        seconds=len(mix) / 44_100,
        declared_seconds=None,
        bits=None,
        missing_seconds=0.0,
        ends_early=False,
        length=len(mix),
        mean=mean,
        standard_deviation=standard_deviation,
        is_clipped=False,
        tags={},
        warnings=[],
    )
    return DecodedSong(io.BytesIO(mix.tobytes()), audio)


def separate(model: Model, song: DecodedSong) -> Samples:
    plan = make_plan(model, song.length, Options(), seed="")
    return np.concatenate([*separate_song(song, plan, lambda share: None)], axis=-1)


def test_a_separated_song_has_all_samples_of_each_source(model: Model) -> None:
    assert separate(model, song_of(MIX, 0, 1)).shape == (4, 2, len(MIX))


def test_sources_are_at_the_songs_own_level(model: Model) -> None:
    normal = separate(model, song_of(MIX, 0, 1))
    quiet = separate(model, song_of(MIX / np.float32(4), 0, 0.25))
    assert np.allclose(quiet * 4, normal, atol=1e-4)
