import io

import av
import numpy as np
import pytest
from av.stream import Disposition

from functions.upload.encoding.mix_file import count_frames, write_flac, write_mp3
from functions.upload.encoding.mix_graph import mix_blocks
from functions.upload.encoding.stem_source import StemSource
from functions.upload.encoding.task import Gains
from microdemucs.audio_tags import NO_TAGS, AudioTags
from microdemucs.mpeg_audio import read_mpeg_header
from testing.encoded_stems import Samples, decode, encode, lag, make_samples, signal_to_noise

LENGTHS = [1, 575, 576, 577, 1151, 1152, 1153, 30_000, 44_100, 50_017]


class Stream(io.RawIOBase):
    """A file to which only the end can be added."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += bytes(data)
        return len(data)


TAGS = AudioTags(
    "Söng (mix)", "Björk & 久石譲", "Ålbum", "3/12", "1999", b"\x89PNG" + bytes(250_000)
)


def written(
    samples: Samples,
    format_: str,
    length: int | None,
    bits: int = 16,
    tags: AudioTags = NO_TAGS,
) -> bytes:
    source = StemSource(io.BytesIO(encode(samples, format="wav", bits=32)), "wav")
    output = Stream()
    if format_ == "mp3":
        blocks = mix_blocks([source], [Gains()], "s16p")
        write_mp3(blocks, length, tags, output)  # type: ignore[arg-type]
    else:
        blocks = mix_blocks([source], [Gains()], "s16" if bits == 16 else "s32")
        write_flac(blocks, length, bits, tags, output)  # type: ignore[arg-type]
    return output.data


@pytest.mark.parametrize("length", LENGTHS)
def test_a_flac_has_the_samples_and_says_how_many(length: int) -> None:
    samples = make_samples(1, length)
    data = written(samples, "flac", length)
    assert int.from_bytes(data[18:26], "big") & (1 << 36) - 1 == length
    assert np.abs(decode(data) - samples).max() <= 0.5001 / 32768


def test_a_flac_of_24_bits_is_finer() -> None:
    samples = make_samples(1, 30_000)
    assert np.abs(decode(written(samples, "flac", 30_000, bits=24)) - samples).max() < 1e-6


def test_a_flac_of_unknown_length_says_so() -> None:
    data = written(make_samples(1, 5000), "flac", None)
    assert int.from_bytes(data[18:26], "big") & (1 << 36) - 1 == 0
    assert decode(data).shape == (2, 5000)


@pytest.mark.parametrize("length", LENGTHS)
def test_an_mp3_begins_at_its_first_sample_and_has_the_announced_length(length: int) -> None:
    samples = make_samples(2, length)
    data = written(samples, "mp3", length)
    decoded = decode(data)
    assert decoded.shape == (2, length)
    if length > 10_000:
        assert lag(decoded, samples) == 0
        assert signal_to_noise(decoded, samples) > 30


@pytest.mark.parametrize("length", LENGTHS)
def test_an_mp3_has_as_many_frames_as_its_first_one_says(length: int) -> None:
    data = written(make_samples(3, length), "mp3", length)
    frames, position = 0, 0
    while position < len(data):
        header = read_mpeg_header(data[position : position + 4])
        assert header
        frames, position = frames + 1, position + header.size
    assert frames - 1 == count_frames(length)
    assert int.from_bytes(data[44:48], "big") == count_frames(length)
    assert int.from_bytes(data[48:52], "big") == pytest.approx(len(data), abs=1100)


def test_an_mp3_of_unknown_length_has_no_info_frame() -> None:
    data = written(make_samples(3, 5000), "mp3", None)
    assert b"Info" not in data[:100]
    assert decode(data).shape[1] >= 5000


@pytest.mark.parametrize("format_", ["mp3", "flac"])
def test_the_tags_and_the_cover_can_be_read_back(format_: str) -> None:
    data = written(make_samples(4, 30_000), format_, 30_000, tags=TAGS)
    with av.open(io.BytesIO(data), "r") as container:
        found = {name.lower(): text for name, text in container.metadata.items()}
        [picture] = container.streams.video
        assert picture.disposition & Disposition.attached_pic
        assert bytes(next(container.demux(picture))) == TAGS.cover
    assert {name: found.get(name) for name in TAGS.texts} == TAGS.texts


@pytest.mark.parametrize("format_", ["mp3", "flac"])
@pytest.mark.parametrize("length", [30_000, None])
def test_tags_change_no_sample(format_: str, length: int | None) -> None:
    samples = make_samples(5, 30_000)
    tagged = written(samples, format_, length, tags=TAGS)
    assert np.array_equal(decode(tagged), decode(written(samples, format_, length)))


def test_a_mix_with_tags_is_a_stem_that_can_be_mixed_again() -> None:
    data = written(make_samples(6, 30_000), "mp3", 30_000, tags=TAGS)
    assert StemSource(io.BytesIO(data), "mp3").length == 30_000
