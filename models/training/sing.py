"""A singing voice: the WORLD vocoder gives spoken lines the pitches of a melody."""

import glob
import random
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyworld
import soundfile
from scipy.signal import fftconvolve, resample_poly

Audio = npt.NDArray[Any]

RATE, VOICE_RATE, FRAMES = 44_100, 16_000, 200  # Hz, Hz, and the vocoder's frames per second
BINS = 513


def sing(notes: list[Any], seconds: float, dice: random.Random) -> Audio:
    """Return [2, n]: `notes` (start, end, pitch; one at a time) sung in a small room."""
    frames = int(seconds * FRAMES)
    f0, spectrum = np.zeros(frames), np.full((frames, BINS), 1e-10)
    breath = np.ones((frames, BINS))
    formants = dice.choice([0.85, 1.0, 1.0, 1.12])
    shifted_bins = np.clip(np.arange(BINS) / formants, 0, BINS - 1).astype(int)
    line, position = dice.randrange(len(_lines())), 0
    for note in notes:
        first, last = int(note.start * FRAMES), min(frames, int(note.end * FRAMES))
        n = last - first
        if n < 8:
            continue
        if position + n > len(_lines()[line][0]):
            line, position = dice.randrange(len(_lines())), 0
        pitch, timbre, noise = _lines()[line]
        stop = min(position + max(n, 20), len(pitch) - 1)
        taken = np.linspace(position, stop, n).astype(int)
        position += n
        hertz = 440 * 2 ** ((note.pitch - 69) / 12)
        while hertz > 620:
            hertz /= 2
        while hertz < 110:
            hertz *= 2
        t = np.arange(n)
        vibrato = 1 + 0.012 * np.sin(2 * np.pi * 5.5 * t / FRAMES) * np.minimum(1, t / 60)
        voiced = (pitch[taken] > 0) | (dice.random() < 0.5)
        f0[first:last] = np.where(voiced, hertz * vibrato, 0)
        fade = np.minimum(1, np.minimum(t + 1, t[::-1] + 1) / 6)[:, None] ** 2
        spectrum[first:last] = timbre[taken][:, shifted_bins] * fade
        breath[first:last] = noise[taken]
    voice = pyworld.synthesize(f0, spectrum, breath, VOICE_RATE, 1000 / FRAMES)
    return _reverberate(resample_poly(voice, 441, 160)[: int(seconds * RATE)], dice)


@cache
def _lines() -> list[tuple[Audio, Audio, Audio]]:
    """Return pitch, spectrum and aperiodicity of each line in voices/, without its silences."""
    lines = []
    for path in sorted(glob.glob("voices/*.wav")):
        speech, rate = soundfile.read(path)
        if rate != VOICE_RATE:
            speech = resample_poly(speech, VOICE_RATE, rate)
        speech = np.ascontiguousarray(speech)
        pitch, times = pyworld.dio(speech, VOICE_RATE, f0_floor=90, f0_ceil=500)
        pitch = pyworld.stonemask(speech, pitch, times, VOICE_RATE)
        spectrum = pyworld.cheaptrick(speech, pitch, times, VOICE_RATE)
        breath = pyworld.d4c(speech, pitch, times, VOICE_RATE)
        hop = VOICE_RATE // FRAMES
        padded = np.zeros(len(pitch) * hop)
        padded[: len(speech)] = speech[: len(padded)]
        level = np.convolve(np.abs(padded.reshape(-1, hop)).mean(1), np.ones(5) / 5, "same")
        audible = level[: len(pitch)] > 0.01
        lines.append((pitch[audible], spectrum[audible], breath[audible]))
    return lines


def _reverberate(voice: Audio, dice: random.Random) -> Audio:
    """Return [2, n]: on each side an echo, and a tail of decaying noise."""
    left, right = voice.copy(), voice.copy()
    for side, delay in ((left, int(0.018 * RATE)), (right, int(0.027 * RATE))):
        side[delay:] += 0.25 * voice[:-delay]
    n = RATE // 2
    noise = np.random.default_rng(dice.randrange(2**32)).standard_normal((2, n))
    tails = noise * np.exp(-np.arange(n) / (0.12 * RATE))
    tails *= 0.25 * dice.random() / np.sqrt((tails**2).sum(1, keepdims=True))
    wet = [fftconvolve(voice, tail)[: len(voice)] for tail in tails]
    return np.stack([left + wet[0], right + wet[1]])
