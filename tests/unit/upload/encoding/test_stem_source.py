import io
from typing import Any

import av
import numpy as np
import pytest

from functions.upload.encoding.stem_source import StemSource, UnreadableStem
from testing.encoded_stems import encode, make_samples

LENGTH = 30_011
SAMPLES = make_samples(1, LENGTH)
FLAC = encode(SAMPLES, format="flac")


@pytest.mark.parametrize(
    "options",
    [
        {"format": "mp3"},
        {"format": "mp3", "bitrate": 128},
        {"format": "flac", "bits": 24},
        {"format": "wav"},
        {"format": "wav", "bits": 32},
    ],
    ids=str,
)
def test_every_format_of_stems_says_its_length(options: dict[str, Any]) -> None:
    source = StemSource(io.BytesIO(encode(SAMPLES, **options)), options["format"])
    assert source.length == LENGTH


def test_the_length_of_a_stem_of_another_rate_is_at_44100_hz() -> None:
    source = StemSource(io.BytesIO(encode(SAMPLES, format="mp3", bitrate=64)), "mp3")
    assert source.length == pytest.approx(LENGTH, abs=2)


def test_a_stem_is_read_as_a_stream() -> None:
    class Pipe(io.BytesIO):
        def seek(self, *_: Any) -> int:
            raise OSError("a pipe cannot seek")

    frames = [*StemSource(Pipe(FLAC), "flac").frames()]
    assert sum(frame.samples for frame in frames) == LENGTH
    decoded = np.concatenate([frame.to_ndarray().reshape(-1, 2) for frame in frames])
    assert np.abs(decoded.T / 32768 - SAMPLES).max() < 1e-4


def test_times_count_from_zero() -> None:
    times = [frame.pts for frame in StemSource(io.BytesIO(FLAC), "flac").frames()]
    assert times[:2] == [0, 4096]


@pytest.mark.parametrize("format_", ["mp3", "flac", "wav"])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        bytes(100_000),
        b"#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n",
        b"ID3\x04\0\0\x7f\x7f",
    ],
    ids=["empty", "a byte", "zeros", "a playlist", "half a tag"],
)
def test_what_is_no_stem_is_unreadable(format_: str, data: bytes) -> None:
    with pytest.raises(UnreadableStem):
        [*StemSource(io.BytesIO(data), format_).frames()]


def test_a_file_of_another_format_is_unreadable() -> None:
    with pytest.raises(UnreadableStem):
        [*StemSource(io.BytesIO(FLAC), "wav").frames()]


def test_a_wav_of_a_codec_that_ffmpeg_could_decode_is_refused() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="wav") as container:
        stream = container.add_stream("adpcm_ms", rate=44_100, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8192), np.int16), "s16", "stereo")
        frame.sample_rate = 44_100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    file.seek(0)
    with pytest.raises(UnreadableStem, match="cannot be"):
        [*StemSource(file, "wav").frames()]
