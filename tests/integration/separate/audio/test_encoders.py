"""The files are those that demucs.audio.save_audio writes."""

import errno
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import torch
from demucs.audio import save_audio

from functions.separate.audio.encoders import make_encoder, prevent_clipping, rescale_divisor
from microdemucs.options import Options
from microdemucs.problems import Rejected

Audio = npt.NDArray[np.float32]


def encoded(audio: Audio, options: Options, mp3_quality: int = 2) -> bytes:
    """Return the file of `audio` [2, n], written in blocks as they come from the network."""
    divisor = rescale_divisor(np.abs(audio).max())
    with tempfile.TemporaryFile() as file:
        writer = make_encoder(options, file, audio.shape[1], mp3_quality)
        for start in range(0, audio.shape[1], 70_001):
            writer.write(
                prevent_clipping(audio[:, start : start + 70_001], options.clip_mode, divisor)
            )
        writer.close()
        file.seek(0)
        return file.read()


def noise(length: int, level: float) -> Audio:
    return (level * np.random.default_rng(3).standard_normal((2, length))).astype(np.float32)


@pytest.fixture(params=[(1, 0.9), (200_001, 0.1), (200_001, 0.9)], ids=["one", "quiet", "loud"])
def stem(request: pytest.FixtureRequest) -> Audio:
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
def test_every_byte_is_the_one_that_demucs_writes(
    stem: Audio, options: dict[str, Any], clip_mode: Any, tmp_path: Path
) -> None:
    chosen = Options(**options, clip_mode=clip_mode)
    expected = tmp_path / f"stem.{chosen.format}"
    save_audio(
        torch.from_numpy(stem.copy()),
        expected,
        44_100,
        bitrate=chosen.bitrate,
        clip=clip_mode,
        bits_per_sample=options.get("bits", 16),
        as_float=chosen.bits == 32,
    )
    assert encoded(stem, chosen) == expected.read_bytes()


@pytest.mark.parametrize("bits", [16, 24])
def test_a_flac_has_the_samples_of_the_wav(stem: Audio, bits: int) -> None:
    samples = {}
    for format_ in ("flac", "wav"):
        written = io.BytesIO(encoded(stem, Options(format=format_, bits=bits)))
        assert soundfile.info(written).subtype == f"PCM_{bits}"
        written.seek(0)
        samples[format_] = soundfile.read(written, dtype="int32")[0]
    assert np.array_equal(samples["flac"], samples["wav"])


def test_the_mp3_quality_is_that_of_lame(tmp_path: Path) -> None:
    stem = noise(44_100, 0.1)
    save_audio(torch.from_numpy(stem.copy()), tmp_path / "a.mp3", 44_100, preset=7)
    assert encoded(stem, Options(), mp3_quality=7) == (tmp_path / "a.mp3").read_bytes()


def test_a_wav_of_more_than_4_gib_is_rejected() -> None:
    with pytest.raises(Rejected, match="flac"):
        make_encoder(Options(format="wav", bits=32), io.BytesIO(), 2**29, 2)


@pytest.mark.parametrize(("peak", "divisor"), [(0.5, 1), (0.99, 1), (1.0, 1.01), (2.0, 2.02)])
def test_rescale_divides_by_a_little_more_than_the_peak(peak: float, divisor: float) -> None:
    assert rescale_divisor(np.float32(peak)) == pytest.approx(divisor)


@pytest.mark.parametrize(
    ("clip_mode", "expected"),
    [("rescale", [0.25, -1.0]), ("clamp", [0.5, -0.99]), ("none", [0.5, -1.0])],
)
def test_no_clip_mode_exceeds_full_scale(clip_mode: str, expected: list[float]) -> None:
    block = np.array([[0.5, -2.0]], np.float32)
    assert prevent_clipping(block, clip_mode, np.float32(2)).tolist() == [pytest.approx(expected)]


@pytest.mark.parametrize("format_", ["flac", "mp3", "wav"])
def test_a_full_disk_is_an_error_of_the_system(format_: str) -> None:
    def write() -> None:
        with open("/dev/full", "wb") as file:
            writer = make_encoder(Options(format=format_), file, 400_000, 5)
            writer.write(noise(400_000, 0.5))

    with pytest.raises(OSError, match=f"Errno {errno.ENOSPC}"):
        write()
