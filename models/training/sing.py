"""A singing voice: the WORLD vocoder moves lines that flite read onto a melody's pitches."""

import glob
import random
from functools import cache
from typing import Any

import numpy as np
import pyworld
import soundfile
from scipy.signal import fftconvolve, resample_poly

RATE, VOICE_RATE, FRAMES = 44_100, 16_000, 200  # Hz, Hz, and the vocoder's frames a second
BINS = 513


@cache
def _voices() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pitch, spectrum and aperiodicity of every line, without its silences."""
    analysed = []
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
        heard = level[: len(pitch)] > 0.01
        analysed.append((pitch[heard], spectrum[heard], breath[heard]))
    return analysed


def sing(notes: list[Any], seconds: float, dice: random.Random) -> np.ndarray:
    """[2, n]: `notes` (start, end, pitch; one at a time) sung, in a small room."""
    frames = int(seconds * FRAMES)
    f0, spectrum = np.zeros(frames), np.full((frames, BINS), 1e-10)
    breath = np.ones((frames, BINS))
    formants = dice.choice([0.85, 1.0, 1.0, 1.12])
    moved = np.clip(np.arange(BINS) / formants, 0, BINS - 1).astype(int)
    line, at = dice.randrange(len(_voices())), 0
    for note in notes:
        first, last = int(note.start * FRAMES), min(frames, int(note.end * FRAMES))
        n = last - first
        if n < 8:
            continue
        if at + n > len(_voices()[line][0]):
            line, at = dice.randrange(len(_voices())), 0
        pitch, timbre, noise = _voices()[line]
        taken = np.linspace(at, min(at + max(n, 20), len(pitch) - 1), n).astype(int)
        at += n
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
        spectrum[first:last] = timbre[taken][:, moved] * fade
        breath[first:last] = noise[taken]
    voice = pyworld.synthesize(f0, spectrum, breath, VOICE_RATE, 1000 / FRAMES)
    return _room(resample_poly(voice, 441, 160)[: int(seconds * RATE)], dice)


def _room(voice: np.ndarray, dice: random.Random) -> np.ndarray:
    """Both sides: an echo each, and a tail of noise that fades."""
    left, right = voice.copy(), voice.copy()
    for side, delay in ((left, int(0.018 * RATE)), (right, int(0.027 * RATE))):
        side[delay:] += 0.25 * voice[:-delay]
    n = RATE // 2
    noise = np.random.default_rng(dice.randrange(2**32)).standard_normal((2, n))
    tail = noise * np.exp(-np.arange(n) / (0.12 * RATE))
    tail *= 0.25 * dice.random() / np.sqrt((tail**2).sum(1, keepdims=True))
    wet = [fftconvolve(voice, one)[: len(voice)] for one in tail]
    return np.stack([left + wet[0], right + wet[1]])
