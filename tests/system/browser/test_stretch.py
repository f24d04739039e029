"""Speed and pitch of the page's player: what is heard of each stem."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page

from testing.encoded_stems import encode
from testing.job_writer import STEMS
from tests.system.browser.listening import (
    RATE,
    Listener,
    Samples,
    Song,
    counting,
    numbers_of,
    sounding,
    wav,
)
from tests.system.browser.player_fixtures import listener, page, song

__all__ = ["listener", "page", "song"]  # pytest finds them here

SECONDS = 12
LENGTH = SECONDS * RATE
HERTZ = (440.0, 550.0, 660.0, 990.0)
STAIR_HERTZ = 300
CLICK_EVERY = RATE  # samples


def stems(samples: Sequence[NDArray[Any]]) -> dict[str, bytes]:
    """Files of the stems, in their order."""
    pairs = zip(STEMS, samples, strict=True)
    return {f"{name}.flac": encode(stem.astype(np.float32), format="flac") for name, stem in pairs}


@cache
def sines() -> dict[str, bytes]:
    """Another tone in each stem."""
    time = np.arange(LENGTH) / RATE
    tones = [0.3 * np.sin(2 * np.pi * hertz * time) for hertz in HERTZ]
    return stems([np.stack([tone, tone]) for tone in tones])


@cache
def stairs() -> dict[str, bytes]:
    """In each second another tone: STAIR_HERTZ, 2 * STAIR_HERTZ, …"""
    time = np.arange(LENGTH) / RATE
    tone = 0.3 * np.sin(2 * np.pi * STAIR_HERTZ * (1 + np.floor(time)) * time)
    return stems([np.stack([tone, tone])] * len(STEMS))


@cache
def clicks() -> dict[str, bytes]:
    """A click in each second, at the same moments in all stems, each of another kind."""
    samples = []
    for number in range(len(STEMS)):
        noise = np.random.default_rng(number).standard_normal((2, 64))
        stem = np.zeros((2, LENGTH))
        for start in range(CLICK_EVERY // 2, LENGTH - 64, CLICK_EVERY):
            stem[:, start : start + 64] = 0.3 * noise / np.abs(noise).max()
        samples.append(stem)
    return stems(samples)


@cache
def counting_stems() -> dict[str, bytes]:
    return {f"{name}.wav": wav(counting(number, LENGTH)) for number, name in enumerate(STEMS)}


def pitch(samples: Samples) -> float:
    """The frequency, in Hz, of a stem's loudest tone."""
    size = 1 << 18
    spectrum = np.abs(np.fft.rfft(samples[0] * np.hanning(samples.shape[1]), size))
    return float(np.argmax(spectrum)) * RATE / size


def moments(samples: Samples) -> list[float]:
    """When the clicks of a stem are heard, in seconds: where each one's energy has its middle."""
    power = (samples**2).sum(axis=0)
    window = RATE // 5
    total = np.convolve(power, np.ones(window), "same")
    found = []
    while total.max() > 0.3 * (power.sum() / 8):
        middle = int(np.argmax(total))
        start, stop = max(0, middle - window), middle + window
        part = power[start:stop]
        found.append((start + float((part * np.arange(len(part))).sum() / part.sum())) / RATE)
        total[max(0, middle - 2 * window) : middle + 2 * window] = 0
    return sorted(found)


def power(samples: Samples, hertz: float) -> float:
    """The energy of the first stem near this frequency."""
    spectrum = np.abs(np.fft.rfft(samples[0, 0] * np.hanning(samples.shape[2])))
    frequencies = np.fft.rfftfreq(samples.shape[2], 1 / RATE)
    return float((spectrum[np.abs(frequencies - hertz) < 20] ** 2).sum())


def quietest(samples: Samples) -> float:
    """The least peak of any stem in 10 ms, but for the fades at a start and a stop."""
    window = RATE // 100
    inner = np.abs(samples).max(axis=1)[:, RATE // 10 : -RATE // 10]
    whole = inner[:, : inner.shape[1] // window * window]
    return float(whole.reshape(len(samples), -1, window).max(axis=2).min())


def after_silence(recorded: Samples) -> Samples:
    """Return what follows the longest silence."""
    edges = np.flatnonzero(np.diff(np.abs(recorded).max(axis=(0, 1)) > 0, prepend=False))
    starts, stops = edges[1:-1:2], edges[2::2]  # the first edge is the first sound's
    return recorded[:, :, stops[np.argmax(stops - starts)] :]


def play(listener: Listener, seconds: float) -> Samples:
    """Return what is heard of each stem for so long, from where the player is."""
    listener.recorded()
    listener.do("play()")
    listener.play_on(seconds)
    listener.do("pause()")
    return sounding(listener.recorded())


@pytest.mark.parametrize("semitones", [5, -7, 12])
def test_every_stem_sounds_so_many_semitones_higher(
    song: Song, listener: Listener, semitones: int
) -> None:
    listener.load(song.finish(sines()))
    listener.do(f"setStretch({{speed: 1, semitones: {semitones}}})")
    recorded = play(listener, 2)
    for stem, hertz in zip(recorded, HERTZ, strict=True):
        assert pitch(stem) == pytest.approx(hertz * 2 ** (semitones / 12), rel=0.005)


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.5])
def test_at_another_speed_the_pitch_stays_and_clicks_are_further_apart(
    song: Song, listener: Listener, speed: float
) -> None:
    listener.load(song.finish(clicks()))
    listener.do(f"setStretch({{speed: {speed}, semitones: 0}})")
    recorded = play(listener, 4.7)
    for stem in recorded:
        gaps = np.diff(moments(stem))
        assert len(gaps) >= 3
        assert gaps == pytest.approx(CLICK_EVERY / RATE / speed, abs=0.01)


def test_at_another_speed_the_pitch_is_that_of_the_song(song: Song, listener: Listener) -> None:
    listener.load(song.finish(sines()))
    listener.do("setStretch({speed: 0.7, semitones: 0})")
    recorded = play(listener, 1.5)
    assert [pitch(stem) for stem in recorded] == pytest.approx(list(HERTZ), rel=0.005)


def test_stretched_stems_stay_in_time_after_pauses_and_seeks(
    song: Song, listener: Listener
) -> None:
    listener.load(song.finish(clicks()))
    listener.do("setStretch({speed: 0.8, semitones: 3})")
    for start in (0, 6, 3):
        listener.do(f"seek({start})")
        for _ in range(2):
            heard = [moments(stem) for stem in play(listener, 1.6)]
            assert {len(stem) for stem in heard} <= {1, 2}
            assert np.ptp(np.array(heard), axis=0).max() < 0.002


def test_without_a_change_every_sample_is_that_of_the_song_again(
    song: Song, listener: Listener
) -> None:
    listener.load(song.finish(counting_stems()))
    listener.do("setStretch({speed: 0.8, semitones: 0})")
    play(listener, 0.5)
    listener.do("setStretch({speed: 1, semitones: 0})")
    numbers = numbers_of(play(listener, 1))
    assert set(np.diff(numbers).ravel().tolist()) == {1}
    assert set(np.ptp(numbers, axis=0).tolist()) == {0}


def test_the_speed_can_be_changed_while_the_song_plays(song: Song, listener: Listener) -> None:
    listener.load(song.finish(sines()))
    listener.do("play()")
    listener.play_on(0.3)
    for speed, semitones in ((0.8, 0), (0.6, 2), (1, 2), (1, 0), (1.3, -2)):
        listener.do(f"setStretch({{speed: {speed}, semitones: {semitones}}})")
        listener.play_on(0.3)
    listener.recorded()
    listener.play_on(1)
    listener.do("pause()")
    recorded = sounding(listener.recorded())
    expected = [hertz * 2 ** (-2 / 12) for hertz in HERTZ]
    assert [pitch(stem) for stem in recorded] == pytest.approx(expected, rel=0.005)
    assert listener.do("position") < SECONDS


@pytest.mark.parametrize("speed", [0.6, 1.4])
def test_a_seek_goes_to_the_right_moment_at_another_speed(
    song: Song, listener: Listener, speed: float
) -> None:
    listener.load(song.finish(stairs()))
    listener.do(f"setStretch({{speed: {speed}, semitones: 0}})")
    for target in (7.1, 2.1):
        listener.do(f"seek({target})")
        assert listener.do("position") == pytest.approx(target, abs=0.001)
        recorded = play(listener, 0.7)
        assert pitch(recorded[0]) == pytest.approx(STAIR_HERTZ * (1 + int(target)), rel=0.01)
        assert target + 0.7 <= listener.do("position") < target + 5


def test_after_a_seek_at_another_speed_nothing_of_another_place_is_heard(
    song: Song, listener: Listener
) -> None:
    listener.load(song.finish(stairs()))
    listener.do("setStretch({speed: 0.8, semitones: 0})")
    for target in (2.05, 9.05):
        listener.do("seek(1)")
        listener.do("play()")
        listener.play_until("position > 2.6")
        listener.recorded()
        listener.do(f"seek({target})")
        listener.play_until(f"position > {target + 0.3}")
        listener.do("pause()")
        beginning = after_silence(listener.recorded())[:, :, : RATE // 10]
        powers = [power(beginning, STAIR_HERTZ * (1 + second)) for second in range(SECONDS)]
        expected = powers.pop(int(target))
        assert max(powers) < 1e-4 * expected


def test_a_loop_is_repeated_at_another_speed(song: Song, listener: Listener) -> None:
    listener.load(song.finish(stairs()))
    listener.do("setStretch({speed: 1.5, semitones: 0})")
    listener.do("seek(4)")
    listener.do("setLoop({from: 4, to: 5})")
    listener.recorded()
    listener.do("play()")
    for _ in range(3):
        listener.play_until("position > 4.7")
        listener.play_until("position < 4.7")
    listener.do("pause()")
    recorded = sounding(listener.recorded())
    assert pitch(recorded[0]) == pytest.approx(STAIR_HERTZ * 5, rel=0.01)
    assert power(recorded, STAIR_HERTZ * 6) < 1e-3 * power(recorded, STAIR_HERTZ * 5)


def test_a_loop_set_and_removed_at_another_speed_leaves_no_gap(
    song: Song, listener: Listener
) -> None:
    listener.load(song.finish(sines()))
    listener.do("setStretch({speed: 0.8, semitones: 0})")
    listener.recorded()
    listener.do("play()")
    for loop in ("{from: 0.2, to: 6}", "null", "{from: 0, to: 9}", "{from: 0.1, to: 10}", "null"):
        listener.play_on(0.3)
        listener.do(f"setLoop({loop})")
    listener.play_on(0.5)
    listener.do("pause()")
    recorded = sounding(listener.recorded())
    assert quietest(recorded) > 0.2
    assert [pitch(stem) for stem in recorded] == pytest.approx(list(HERTZ), rel=0.005)


def test_a_change_from_the_speed_of_the_song_and_back_leaves_no_gap(
    song: Song, listener: Listener
) -> None:
    listener.load(song.finish(sines()))
    listener.do("setStretch({speed: 0.8, semitones: 0})")
    play(listener, 0.2)  # which loads what stretches
    listener.do("setStretch({speed: 1, semitones: 0})")
    listener.recorded()
    listener.do("play()")
    for speed in (0.8, 1, 1.2, 1):
        listener.play_on(0.4)
        listener.do(f"setStretch({{speed: {speed}, semitones: 0}})")
    listener.play_on(0.4)
    listener.do("pause()")
    recorded = sounding(listener.recorded())
    assert quietest(recorded) > 0.1  # less than the tone's 0.3: while one replaces the other
    assert [pitch(stem) for stem in recorded] == pytest.approx(list(HERTZ), rel=0.005)


def play_a_new_loop(
    listener: Listener, seconds: float, *, and_then: str = ""
) -> tuple[Samples, float]:
    """Play at 1.4 times the speed, set a loop, and play to its end twice.

    It ends `seconds` after the position, however late it is set. `and_then` is done in the same
    moment. Return what was heard of each stem, and the second in which the loop ends.
    """
    listener.do("setStretch({speed: 1.4, semitones: 0})")
    listener.do("seek(4)")
    listener.recorded()
    listener.do("play()")
    listener.play_until("position > 4.1")
    listener.do(f"setLoop({{from: 4, to: tested.position + {seconds}}}){and_then}")
    stop = listener.do("_loop.to") / RATE
    for _ in range(2):
        listener.play_until(f"position > {stop - 0.3}")
        listener.play_until(f"position < {stop - 0.3}")
    listener.do("pause()")
    return sounding(listener.recorded()), stop


def test_a_loop_that_is_set_while_the_song_plays_is_repeated_at_another_speed(
    song: Song, listener: Listener
) -> None:
    listener.load(song.finish(stairs()))
    recorded, stop = play_a_new_loop(listener, 1)
    assert quietest(recorded) > 0.2
    behind = STAIR_HERTZ * (2 + int(stop))
    assert power(recorded, behind) < 1e-3 * power(recorded, STAIR_HERTZ * 5)


def test_a_loop_is_kept_if_the_speed_changes_at_the_same_time(
    song: Song, listener: Listener
) -> None:
    listener.load(song.finish(stairs()))
    change = ", tested.setStretch({speed: 1.5, semitones: 0})"
    recorded, stop = play_a_new_loop(listener, 1.2, and_then=change)
    behind = STAIR_HERTZ * (2 + int(stop))
    assert power(recorded, behind) < 1e-3 * power(recorded, STAIR_HERTZ * 5)


def test_the_position_goes_on_evenly_when_loops_change_at_another_speed(
    page: Page, song: Song, listener: Listener
) -> None:
    listener.load(song.finish(sines()))
    listener.do("setStretch({speed: 0.8, semitones: 0})")
    listener.do("play()")
    listener.play_on(0.3)
    page.evaluate("""() => {
        const latency = { get: () => 0.2 }; // s, from the page to the ear
        Object.defineProperty(AudioContext.prototype, "outputLatency", latency);
        window.offsets = [];
        const note = () => {
            offsets.push(tested.position - 0.8 * tested._context.currentTime);
            requestAnimationFrame(note);
        };
        note();
    }""")
    for loop in ("{from: 0.1, to: 11}", "null") * 5:
        listener.do(f"setLoop({loop})")
        listener.play_on(0.5)
    assert np.ptp(page.evaluate("offsets")) < 0.01


def test_a_mute_acts_on_its_own_stem_at_another_speed(song: Song, listener: Listener) -> None:
    listener.load(song.finish(sines()))
    listener.do("setStretch({speed: 0.8, semitones: 0})")
    listener.do("setMuted('bass', true)")
    recorded = play(listener, 0.5)
    assert [bool(np.abs(stem).max() > 0.1) for stem in recorded] == [True, False, True, True]


def test_at_the_end_of_the_song_the_player_stops_at_another_speed(
    song: Song, listener: Listener
) -> None:
    listener.load(song.finish(sines()))
    listener.do("setStretch({speed: 1.5, semitones: 0})")
    listener.do(f"seek({SECONDS - 1})")
    listener.do("play()")
    listener.play_until("state === 'ended'")
    assert listener.do("position") == pytest.approx(SECONDS, abs=0.01)


def test_the_song_plays_at_its_own_speed_if_the_library_cannot_be_loaded(
    page: Page, song: Song, listener: Listener
) -> None:
    page.route("**/vendor/**", lambda route: route.abort())
    listener.load(song.finish(sines()))
    page.evaluate(
        "tested.addEventListener('unstretched', (event) => { window.failure = event.detail; })"
    )
    listener.do("setStretch({speed: 0.5, semitones: 0})")
    recorded = play(listener, 0.5)
    assert page.evaluate("failure.message")
    assert pitch(recorded[0]) == pytest.approx(HERTZ[0], rel=0.01)
    assert listener.do("_timeline") is None
