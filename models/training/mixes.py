"""Training examples: stems of different songs mixed at random, each made to sound unlike itself."""

# ruff: noqa: S311 (dice for music, no secrets)

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
    """Those to train on, and those held out: none of their renderings is trained on."""
    held = {name.rsplit("_", 1)[0] for name in HELD_OUT}
    rendered = sorted(path.parent for path in Path("data").glob("*/vocals.flac"))
    train = [_load(one) for one in rendered if one.name.rsplit("_", 1)[0] not in held]
    return train, [_load(one) for one in rendered if one.name in HELD_OUT]


def example(of: list[Song]) -> Tensor:
    """[sources, 2, LENGTH]: three in ten as a song has it, the others mixed."""
    if random.random() > 0.3:
        return torch.stack([_pick(of, name) for name in SOURCES])
    song = random.choice(of)
    at = random.randrange(max(1, song["other"].shape[1] - LENGTH))
    stems = torch.stack([song[name][:, at : at + LENGTH].float() for name in SOURCES])
    stems = pad(stems, (0, LENGTH - stems.shape[-1]))
    if random.random() < 0.25:
        stems[SOURCES.index("vocals")] = 0
    return stems


def _load(folder: Path) -> Song:
    """Half precision, so that all songs fit in memory."""
    read = {name: soundfile.read(folder / f"{name}.flac", dtype="float32")[0] for name in SOURCES}
    return {name: torch.from_numpy(audio.T.copy()).half() for name, audio in read.items()}


def _pick(of: list[Song], stem: str) -> Tensor:
    for _ in range(20):
        speed = random.uniform(0.88, 1.14) if random.random() < 0.5 else 1.0
        audio = _cut(random.choice(of)[stem], int(LENGTH * speed))
        if audio.pow(2).mean() > 1e-6 or random.random() < 0.06:  # silence is an example too
            break
    if speed != 1.0:
        audio = interpolate(audio[None], size=LENGTH, mode="linear", align_corners=False)[0]
    audio = _room(_drive(_equalise(audio), 0.3 if stem in ("other", "bass") else 0.15))
    if random.random() < 0.5:
        audio = audio.flip(0)
    if random.random() < (0.2 if stem == "vocals" else 0.1):
        audio = torch.zeros_like(audio)
    return audio * random.choice([1, -1]) * 10 ** (random.uniform(-10, 3) / 20)


def _cut(audio: Tensor, n: int) -> Tensor:
    at = random.randrange(max(1, audio.shape[1] - n))
    part = audio[:, at : at + n].float()
    return pad(part, (0, n - part.shape[1]))


def _equalise(audio: Tensor) -> Tensor:
    """A smooth random curve, sometimes without treble."""
    if random.random() > 0.5:
        return audio
    knots = torch.randn(8) * 3.0  # dB
    if random.random() < 0.2:
        knots[-2:] -= random.uniform(3, 15)
    curve = interpolate(knots[None, None], size=257, mode="linear", align_corners=True)[0, 0]
    spectrum = torch.fft.rfft(audio)
    bins = (torch.linspace(0, 1, spectrum.shape[1]).sqrt() * 256).long()
    return torch.fft.irfft(spectrum * 10 ** (curve[bins] / 20), n=audio.shape[1])


def _drive(audio: Tensor, how_often: float) -> Tensor:
    """Distorted, as loud as before."""
    if random.random() > how_often:
        return audio
    peak = audio.abs().max() + 1e-5
    driven = torch.tanh(audio / peak * random.uniform(2, 12)) * peak
    return driven * (audio.pow(2).mean().sqrt() / (driven.pow(2).mean().sqrt() + 1e-6))


def _room(audio: Tensor) -> Tensor:
    """A tail of noise that fades."""
    if random.random() > 0.2:
        return audio
    n = int(random.uniform(0.15, 0.9) * RATE)
    tail = torch.randn(2, n) * torch.exp(-torch.arange(n) / (n / 5))
    tail /= tail.pow(2).sum(1, keepdim=True).sqrt()
    size = audio.shape[1] + n
    wet = torch.fft.irfft(torch.fft.rfft(audio, size) * torch.fft.rfft(tail, size), size)
    return audio + random.uniform(0.1, 0.5) * wet[:, : audio.shape[1]]
