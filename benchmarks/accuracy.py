"""How far our stems are from demucs' own, before they are encoded.

    python -m benchmarks.accuracy SONG --model FOLDER

prints JSON, dB relative to demucs' signal: {"f32": {"all": …, "worst stem": …}, "bf16": …}. Both
get the same decoded song and do not shift it; demucs' is apply_model between the normalisation of
demucs.api.Separator.separate_tensor.
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
from functions.separate.engine.openvino_backend.engine import precisions
from functions.separate.engine.registry import ModelRegistry
from functions.separate.settings import ModelSettings
from functions.separate.stems import make_plan, separate_song
from microdemucs.options import Options


def main() -> None:
    """Compare in each precision that this chip has."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("song", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="a folder with a model")
    asked = parser.parse_args()
    theirs = _demucs(asked.song, asked.model)
    distances = {}
    for precision in precisions():
        os.environ["PRECISION"] = precision
        distances[precision] = _apart(_ours(asked.song, asked.model), theirs)
    print(json.dumps(distances))


def _demucs(path: Path, folder: Path) -> Floats:
    """[sources, 2, n]."""
    with _song(path) as song:
        samples = song.samples.read()
    mix = torch.from_numpy(np.frombuffer(samples, "<f4").reshape(-1, 2).T.copy())
    ref = mix.mean(0)
    mean, deviation = ref.mean(), ref.std() + 1e-8
    network = get_model(folder.name, folder)
    with torch.inference_mode():
        out = apply_model(network, ((mix - mean) / deviation)[None], shifts=0, overlap=0.25)
    stems: Floats = (out[0] * deviation + mean).numpy()
    return stems


def _ours(path: Path, folder: Path) -> Floats:
    models = ModelRegistry(ModelSettings(default=str(folder.resolve())))
    model = models.load(models.choose(""))
    with _song(path) as song:
        blocks = separate_song(
            song, make_plan(model, song.length, Options(), ""), lambda share: None
        )
        return np.concatenate(list(blocks), axis=-1)


@contextmanager
def _song(path: Path) -> Iterator[DecodedSong]:
    with path.open("rb") as file, decode(file, 600.0, lambda share: None) as song:
        yield song


def _apart(ours: Floats, theirs: Floats) -> dict[str, float]:
    noise = np.square(ours - theirs, dtype=np.float64).sum((1, 2))
    signal = np.square(theirs, dtype=np.float64).sum((1, 2))
    everything, stems = noise.sum() / signal.sum(), noise / signal
    return {
        "all": round(10 * float(np.log10(everything)), 1),
        "worst stem": round(10 * float(np.log10(stems.max())), 1),
    }


if __name__ == "__main__":
    main()
