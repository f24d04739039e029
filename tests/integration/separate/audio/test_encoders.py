"""The files hold what demucs.audio.save_audio would have written."""

import errno
import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from demucs.audio import save_audio

from functions.separate.audio.encoders import make_encoder, prevent_clipping, rescale_divisor
from microdemucs.options import Options
from microdemucs.problems import Rejected


def encoded(audio: np.ndarray, options: Options, mp3_quality: int = 2) -> bytes:
    """The file of `audio` [2, n], given in blocks as the networks' come."""
    scale = rescale_divisor(np.abs(audio).max())
    with tempfile.TemporaryFile() as into:
        writer = make_encoder(options, into, audio.shape[1], mp3_quality)
        for start in range(0, audio.shape[1], 70_001):
            writer.write(
                prevent_clipping(audio[:, start : start + 70_001], options.clip_mode, scale)
            )
        writer.close()
        into.seek(0)
        return into.read()


def noise(length: int, level: float) -> np.ndarray:
    return (level * np.random.default_rng(3).standard_normal((2, length))).astype(np.float32)


@pytest.fixture(params=[(1, 0.9), (200_001, 0.1), (200_001, 0.9)], ids=["one", "quiet", "loud"])
def stem(request: pytest.FixtureRequest) -> np.ndarray:
    return noise(*request.param)


@pytest.mark.parametrize("clip_mode", ["rescale", "clamp", "none"])
@pytest.mark.parametrize(
    "options",
    [
        {"format": "mp3"},
        {"format": "mp3", "bitrate": 96},
        {"format": "wav"},
        {"format": "wav", "bits": 24},
        {"format": "wav", "bits": 32},
    ],
    ids=["mp3", "mp3-96", "wav16", "wav24", "wav32"],
)
def test_every_byte_is_the_same_as_demucs_writes(stem, options, clip_mode, tmp_path: Path):
    chosen = Options(**options, clip_mode=clip_mode)
    right = tmp_path / f"stem.{chosen.format}"
    save_audio(
        torch.from_numpy(stem.copy()),
        right,
        44_100,
        bitrate=chosen.bitrate,
        clip=clip_mode,
        bits_per_sample=chosen.bits,
        as_float=chosen.bits == 32,
    )
    assert encoded(stem, chosen) == right.read_bytes()


@pytest.mark.parametrize("bits", [16, 24])
def test_flac_holds_the_samples_that_the_wav_holds(stem, bits):
    heard = {}
    for format_ in ("flac", "wav"):
        written = io.BytesIO(encoded(stem, Options(format=format_, bits=bits)))
        assert soundfile.info(written).subtype == f"PCM_{bits}"
        written.seek(0)
        heard[format_] = soundfile.read(written, dtype="int32")[0]
    assert np.array_equal(heard["flac"], heard["wav"])


def test_a_faster_mp3_is_what_lame_makes_at_that_quality(tmp_path: Path):
    stem = noise(44_100, 0.1)
    save_audio(torch.from_numpy(stem.copy()), tmp_path / "a.mp3", 44_100, preset=7)
    assert encoded(stem, Options(), mp3_quality=7) == (tmp_path / "a.mp3").read_bytes()


def test_a_wav_that_its_header_cannot_describe_is_refused():
    with pytest.raises(Rejected, match="flac"):
        make_encoder(Options(format="wav", bits=32), io.BytesIO(), 2**29, 2)


@pytest.mark.parametrize("format_", ["flac", "mp3", "wav"])
def test_a_full_disk_is_told_as_one(format_):
    def write() -> None:
        with open("/dev/full", "wb") as into:
            writer = make_encoder(Options(format=format_), into, 400_000, 5)
            writer.write(noise(400_000, 0.5))

    with pytest.raises(OSError, match=f"Errno {errno.ENOSPC}"):
        write()
