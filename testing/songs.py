"""Songs for tests: a few seconds of the sample, in any format."""

import io
from functools import cache

import av
import numpy as np
import soundfile

from microdemucs.paths import ROOT

SAMPLE = next((ROOT / "samples").glob("*.mp3"))


@cache
def samples(seconds: float = 3.0, start: float = 5.0) -> np.ndarray:
    """Return `seconds` of the sample song: float32 [n, 2] at 44.1 kHz."""
    with av.open(str(SAMPLE)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    audio = np.concatenate(frames, axis=1).T.astype(np.float32)
    first = int(start * 44100)
    return audio[first : first + int(seconds * 44100)]


def song(
    seconds: float = 3.0,
    start: float = 5.0,
    *,
    form: str = "WAV",
    subtype: str = "PCM_16",
    rate: int = 44100,
    mono: bool = False,
) -> bytes:
    """Return a file with `seconds` of music. `rate` is declared, not resampled to."""
    sound = samples(seconds, start)
    file = io.BytesIO()
    soundfile.write(file, sound[:, 0] if mono else sound, rate, format=form, subtype=subtype)
    return file.getvalue()


def mp3(seconds: float = 3.0, start: float = 5.0) -> bytes:
    """Return an MP3 file with `seconds` of music."""
    return song(seconds, start, form="MP3", subtype="MPEG_LAYER_III")
