"""The files hold the audio that demucs.audio.save_audio writes, and tags."""

import errno
import io
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr
import torch
from demucs.audio import save_audio
from msgspec import structs

from functions.separate.audio.encoders import make_encoder, prevent_clipping, rescale_divisor
from functions.separate.audio.flac_cover import picture_block
from functions.separate.audio.tags import read_cover
from microdemucs.audio_tags import NO_TAGS, AudioTags
from microdemucs.mpeg_audio import read_mpeg_header
from microdemucs.options import BITRATES, Options
from microdemucs.problems import Rejected
from tests.integration.separate.audio.decoding import lag
from tests.integration.separate.sounds import music, read

Audio = npt.NDArray[np.float32]


def encoded(
    audio: Audio, options: Options, mp3_quality: int = 2, tags: AudioTags = NO_TAGS
) -> bytes:
    """Return the file of `audio` [2, n], written in blocks as they come from the network."""
    divisor = rescale_divisor(np.abs(audio).max())
    is_float = (options.format, options.bits) == ("wav", 32)
    with tempfile.TemporaryFile() as file:
        writer = make_encoder(options, file, audio.shape[1], mp3_quality, tags)
        for start in range(0, audio.shape[1], 70_001):
            block = audio[:, start : start + 70_001]
            writer.write(prevent_clipping(block, options.clip_mode, divisor, is_float=is_float))
        writer.close()
        file.seek(0)
        return file.read()


def without_info(mp3: bytes) -> bytes:
    """Return an MP3 without its Info frame."""
    frame = read_mpeg_header(mp3[:8])
    assert frame
    assert b"Info" in mp3[:40]
    return mp3[frame.size :]


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
    file = encoded(stem, chosen)
    if (chosen.bits, clip_mode) == (32, "none"):  # demucs clips floats too
        samples = np.frombuffer(file, "<f4", offset=len(file) - 8 * stem.shape[1])
        assert np.array_equal(samples.reshape(-1, 2), stem.T)
    else:
        file = without_info(file) if chosen.format == "mp3" else file
        assert file == expected.read_bytes()


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
    file = encoded(stem, Options(), mp3_quality=7)
    assert without_info(file) == (tmp_path / "a.mp3").read_bytes()


@pytest.mark.parametrize("bitrate", BITRATES)
@pytest.mark.parametrize("length", [1152, 5000, 44_100, 132_300])
def test_the_info_frame_makes_an_mp3_gapless(bitrate: int, length: int) -> None:
    audio = music(3.0).T[:, :length]
    file = encoded(audio, Options(bitrate=bitrate), tags=AudioTags(title="a"))
    with av.open(io.BytesIO(file), "r") as container:
        stream = container.streams.audio[0]
        assert stream.duration
        assert stream.time_base
        seconds = float(stream.duration * stream.time_base)
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], 1)
    expected = audio if stream.rate == 44_100 else soxr.resample(audio.T, 44_100, stream.rate).T
    assert abs(samples.shape[1] - expected.shape[1]) <= 1
    assert seconds == pytest.approx(length / 44_100, abs=1 / stream.rate)
    if length > 10_000:
        assert lag(samples.T, expected.T) == 0


def test_the_shortest_mp3_is_gapless() -> None:
    audio = music(1.0).T[:, :1]
    with av.open(io.BytesIO(encoded(audio, Options())), "r") as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == 1


@pytest.mark.parametrize(("bitrate", "rate"), [(32, 16_000), (64, 24_000), (96, 32_000)])
def test_the_encoder_says_to_which_rate_lame_resamples(bitrate: int, rate: int) -> None:
    audio = music(1.0).T
    with tempfile.TemporaryFile() as file:
        encoder = make_encoder(Options(bitrate=bitrate), file, audio.shape[1], 2)
        encoder.write(audio)
        encoder.close()
        file.seek(0)
        with av.open(file, "r") as container:
            assert encoder.sample_rate == container.streams.audio[0].rate == rate


TAGS = AudioTags(
    "Sólo ♫ (vocals)",
    "Björk & 久石譲",
    "An album",
    "3/12",
    "2020-03-01",
    b"\xff\xd8\xff" + bytes(999),
)


@pytest.mark.parametrize(
    "options",
    [{"format": "mp3"}, {"format": "flac"}, {"format": "wav"}, {"format": "wav", "bits": 32}],
    ids=["mp3", "flac", "wav", "wav32"],
)
def test_tags_can_be_read_back(options: dict[str, Any]) -> None:
    audio = noise(50_000, 0.1)
    file = io.BytesIO(encoded(audio, Options(**options), tags=TAGS))
    with av.open(file, "r") as container:
        found = {name.lower(): text for name, text in container.metadata.items()}
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], 1)
    track = found.get("track") or found.get("tracknumber")
    assert (found["title"], found["artist"]) == (TAGS.title, TAGS.artist)
    assert (found["album"], track, found["date"]) == (TAGS.album, TAGS.track, TAGS.date)
    assert samples.size == audio.size


@pytest.mark.parametrize("cover", [TAGS.cover, b"\x89PNG" + bytes(290_000)], ids=["jpeg", "png"])
@pytest.mark.parametrize(
    "options", [Options(), Options(format="flac", bits=24)], ids=["mp3", "flac"]
)
def test_the_cover_can_be_read_back(options: Options, cover: bytes) -> None:
    file = encoded(noise(5000, 0.1), options, tags=AudioTags("a", cover=cover))
    with av.open(io.BytesIO(file), "r") as container:
        assert read_cover(container) == cover


def test_a_flac_with_a_cover_is_the_one_without_it_and_the_cover() -> None:
    audio = noise(200_001, 0.1)
    tagged = AudioTags("a", "b", "c", "1", "1999")
    with_cover = encoded(
        audio, Options(format="flac"), tags=structs.replace(tagged, cover=TAGS.cover)
    )
    block = picture_block(TAGS.cover)
    assert block in with_cover
    assert with_cover.replace(block, b"") == encoded(audio, Options(format="flac"), tags=tagged)


def test_a_float_wav_that_may_clip_keeps_what_is_above_full_scale() -> None:
    audio = 4 * music(1.0).T / np.abs(music(1.0)).max()
    file = encoded(audio, Options(format="wav", bits=32, clip_mode="none"))
    assert np.array_equal(read(file), audio.T)


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


@pytest.mark.parametrize("tags", [NO_TAGS, TAGS], ids=["plain", "cover"])
@pytest.mark.parametrize("format_", ["flac", "mp3", "wav"])
def test_a_full_disk_is_an_error_of_the_system(format_: str, tags: AudioTags) -> None:
    def write() -> None:
        with open("/dev/full", "wb") as file:
            writer = make_encoder(Options(format=format_), file, 400_000, 5, tags)
            writer.write(noise(400_000, 0.5))

    with pytest.raises(OSError, match=f"Errno {errno.ENOSPC}"):
        write()
