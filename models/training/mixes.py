"""Training examples: random mixes of stems of different songs, each stem with random effects."""

# ruff: noqa: S311 (random music, no secrets)

import random
from pathlib import Path

import soundfile
import torch
from network import RATE, SEGMENT, SOURCES
from torch import Tensor
from torch.nn.functional import interpolate, pad

LENGTH = int(SEGMENT * RATE)
HELD_OUT = ("freedoom1_D_E1M3_a", "freedoom2_D_DOOM_a", "freedoom1_D_E3M4_a")
Song = dict[str, Tensor]


def songs() -> tuple[list[Song], list[Song]]:
    """Return the songs to train on and the held-out ones, which share no composition."""
    held_out = {_composition(name) for name in HELD_OUT}
    folders = sorted(path.parent for path in Path("data").glob("*/vocals.flac"))
    train = [_load(folder) for folder in folders if _composition(folder.name) not in held_out]
    return train, [_load(folder) for folder in folders if folder.name in HELD_OUT]


def example(songs: list[Song]) -> Tensor:
    """Return [sources, 2, LENGTH]: three times in ten of one song, else of several."""
    if random.random() > 0.3:
        return torch.stack([_random_stem(songs, name) for name in SOURCES])
    song = random.choice(songs)
    start = random.randrange(max(1, song["other"].shape[1] - LENGTH))
    stems = torch.stack([song[name][:, start : start + LENGTH].float() for name in SOURCES])
    stems = pad(stems, (0, LENGTH - stems.shape[-1]))
    if random.random() < 0.25:
        stems[SOURCES.index("vocals")] = 0
    return stems


def _composition(name: str) -> str:
    """The name without _a or _b, the two renderings of a composition."""
    return name.rsplit("_", 1)[0]


def _load(folder: Path) -> Song:
    """Read a song in half precision, so that all songs fit in memory."""
    stems = {name: soundfile.read(folder / f"{name}.flac", dtype="float32")[0] for name in SOURCES}
    return {name: torch.from_numpy(audio.T.copy()).half() for name, audio in stems.items()}


def _random_stem(songs: list[Song], name: str) -> Tensor:
    for _ in range(20):
        speed = random.uniform(0.88, 1.14) if random.random() < 0.5 else 1.0
        audio = _excerpt(random.choice(songs)[name], int(LENGTH * speed))
        if audio.pow(2).mean() > 1e-6 or random.random() < 0.06:  # some examples are silent
            break
    if speed != 1.0:
        audio = interpolate(audio[None], size=LENGTH, mode="linear", align_corners=False)[0]
    audio = _reverberate(_distort(_equalize(audio), 0.3 if name in ("other", "bass") else 0.15))
    if random.random() < 0.5:
        audio = audio.flip(0)
    if random.random() < (0.2 if name == "vocals" else 0.1):
        audio = torch.zeros_like(audio)
    gain: float = random.choice([1, -1]) * 10 ** (random.uniform(-10, 3) / 20)
    return audio * gain


def _excerpt(audio: Tensor, n: int) -> Tensor:
    start = random.randrange(max(1, audio.shape[1] - n))
    excerpt = audio[:, start : start + n].float()
    return pad(excerpt, (0, n - excerpt.shape[1]))


def _equalize(audio: Tensor) -> Tensor:
    """Apply a smooth random curve, sometimes without treble."""
    if random.random() > 0.5:
        return audio
    knots = torch.randn(8) * 3.0  # dB
    if random.random() < 0.2:
        knots[-2:] -= random.uniform(3, 15)
    curve = interpolate(knots[None, None], size=257, mode="linear", align_corners=True)[0, 0]
    spectrum = torch.fft.rfft(audio)
    bins = (torch.linspace(0, 1, spectrum.shape[1]).sqrt() * 256).long()
    equalized: Tensor = torch.fft.irfft(spectrum * 10 ** (curve[bins] / 20), n=audio.shape[1])
    return equalized


def _distort(audio: Tensor, probability: float) -> Tensor:
    """Overdrive the audio with this probability; its loudness stays."""
    if random.random() > probability:
        return audio
    peak = audio.abs().max() + 1e-5
    driven = torch.tanh(audio / peak * random.uniform(2, 12)) * peak
    gain: Tensor = audio.pow(2).mean().sqrt() / (driven.pow(2).mean().sqrt() + 1e-6)
    return driven * gain


def _reverberate(audio: Tensor) -> Tensor:
    """Add a tail of decaying noise, one time in five."""
    if random.random() > 0.2:
        return audio
    n = int(random.uniform(0.15, 0.9) * RATE)
    tail = torch.randn(2, n) * torch.exp(-torch.arange(n) / (n / 5))
    tail /= tail.pow(2).sum(1, keepdim=True).sqrt()
    size = audio.shape[1] + n
    wet: Tensor = torch.fft.irfft(torch.fft.rfft(audio, size) * torch.fft.rfft(tail, size), size)
    return audio + random.uniform(0.1, 0.5) * wet[:, : audio.shape[1]]
