"""Measure how far our stems are from demucs' own, before encoding.

    python -m benchmarks.accuracy SONG --model FOLDER

It prints JSON, in dB relative to demucs' signal: {"f32": {"all": …, "worst stem": …}, "bf16": …}.
Both separate the same decoded song, without shifts. demucs' stems are those of apply_model, with
the normalization of demucs.api.Separator.separate_tensor.
"""

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from demucs.apply import apply_model
from demucs.pretrained import get_model

from functions.separate.audio.decoder import DecodedSong, decode
from functions.separate.engine import Floats
from functions.separate.engine.openvino_backend.processor import precisions
from functions.separate.engine.registry import ModelRegistry
from functions.separate.engine.settings import ModelSettings
from functions.separate.stems import make_plan, separate_song
from microdemucs.options import Options


def main() -> None:
    """Compare in each precision that this processor has."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("song", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="a folder with a model")
    arguments = parser.parse_args()
    reference = _separate_with_demucs(arguments.song, arguments.model)
    distances = {}
    for precision in precisions():
        os.environ["PRECISION"] = precision
        distances[precision] = _distance(_separate(arguments.song, arguments.model), reference)
    print(json.dumps(distances))


def _separate_with_demucs(path: Path, folder: Path) -> Floats:
    """Return demucs' stems, [sources, 2, n]."""
    with _song(path) as song:
        samples = song.samples.read()
    mix = torch.from_numpy(np.frombuffer(samples, "<f4").reshape(-1, 2).T.copy())
    mono = mix.mean(0)
    mean, deviation = mono.mean(), mono.std() + 1e-8
    network = get_model(folder.name, folder)
    with torch.inference_mode():
        estimate = apply_model(network, ((mix - mean) / deviation)[None], shifts=0, overlap=0.25)
    stems: Floats = (estimate[0] * deviation + mean).numpy()
    return stems


def _separate(path: Path, folder: Path) -> Floats:
    """Return our stems, [sources, 2, n]."""
    models = ModelRegistry(ModelSettings(default=str(folder.resolve())))
    model = models.load(models.choose(""))
    with _song(path) as song:
        blocks = separate_song(song, make_plan(model, song.length, Options(), ""), lambda _: None)
        return np.concatenate(list(blocks), axis=-1)


@contextmanager
def _song(path: Path) -> Iterator[DecodedSong]:
    with path.open("rb") as file, decode(file, 600.0, lambda _: None) as song:
        yield song


def _distance(stems: Floats, reference: Floats) -> dict[str, float]:
    noise = np.square(stems - reference, dtype=np.float64).sum((1, 2))
    signal = np.square(reference, dtype=np.float64).sum((1, 2))
    return {
        "all": round(10 * float(np.log10(noise.sum() / signal.sum())), 1),
        "worst stem": round(10 * float(np.log10((noise / signal).max())), 1),
    }


if __name__ == "__main__":
    main()
