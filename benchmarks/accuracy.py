"""How far our stems are from demucs' own, before they are encoded.

    python -m benchmarks.accuracy SONG --model FOLDER

prints JSON, dB relative to demucs' signal: {"f32": {"all": …, "worst stem": …}, "bf16": …}. Both
get the same decoded song and do not shift it; demucs' is apply_model between the normalisation of
demucs.api.Separator.separate_tensor.
"""

import argparse
import json
import os
from contextlib import closing
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from demucs.apply import apply_model
from demucs.pretrained import get_model

from benchmarks.one_song import loaded
from functions.separate.audio import Song, decode
from functions.separate.engine import Floats
from functions.separate.stems import estimates
from microdemucs.options import Options


def main() -> None:
    """Compare in each precision that this chip has."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("song", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="a folder with a model")
    asked = parser.parse_args()
    with asked.song.open("rb") as file:
        song = decode(file, 600.0, lambda share: None)
    with closing(song.samples):
        theirs = _demucs(song, asked.model)
        chip = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        distances = {}
        for precision in ("f32", "bf16"):
            if precision == "f32" or "BF16" in chip:
                os.environ["PRECISION"] = precision
                distances[precision] = _apart(_ours(song, asked.model), theirs)
    print(json.dumps(distances))


def _demucs(song: Song, folder: Path) -> Floats:
    """[sources, 2, n]."""
    mix = torch.from_numpy(song.samples.read(0, song.length))
    ref = mix.mean(0)
    mean, deviation = ref.mean(), ref.std() + 1e-8
    network = get_model(folder.name, folder)
    with torch.inference_mode():
        out = apply_model(network, ((mix - mean) / deviation)[None], shifts=0, overlap=0.25)
    stems: Floats = (out[0] * deviation + mean).numpy()
    return stems


def _ours(song: Song, folder: Path) -> Floats:
    model, _ = loaded(folder)
    blocks = estimates(song, model, Options(), "", lambda share: None)
    return np.concatenate(list(blocks), axis=-1)


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
