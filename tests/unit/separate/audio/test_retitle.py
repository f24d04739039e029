"""Another title for a stem's file, checked by FFmpeg and by the samples that follow."""

import io
import random
import tempfile
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from functions.separate.audio.encoders import make_encoder
from functions.separate.audio.retitle import HEAD_BYTES, retitle
from functions.separate.engine import Floats
from microdemucs.audio_tags import NO_TAGS, AudioTags
from microdemucs.options import Options

COVER = b"\x89PNG" + bytes(range(256)) * 1000
TAGS = AudioTags("first (vocals)", "An Artist", "An Album", "3/12", "1999")
FORMATS = [Options(format="mp3"), Options(format="flac", bits=24), Options(format="wav", bits=32)]
TITLES = ["zweites Stück (vocals)", "x", "歌" * 200, "odd (vocals)!"]


def encoded(options: Options, tags: AudioTags) -> bytes:
    samples: Floats = np.float32(0.25) * np.sin(np.arange(20_000, dtype="f4")).reshape(2, -1)
    with tempfile.TemporaryFile() as file:
        encoder = make_encoder(options, file, samples.shape[1], 5, tags)
        encoder.write(samples)
        encoder.close()
        file.flush()
        file.seek(0)
        return file.read()


def retitled(data: bytes, title: str) -> bytes:
    new = retitle(data[:HEAD_BYTES], title)
    assert new
    return new.data + data[new.replaced :]


def tags_of(data: bytes) -> dict[str, str]:
    with av.open(io.BytesIO(data), "r") as container:
        tags = {**container.metadata, **container.streams.audio[0].metadata}
    return {name.lower(): text for name, text in tags.items() if name.lower() != "encoder"}


def samples_of(data: bytes) -> bytes:
    with av.open(io.BytesIO(data), "r") as container:
        decoded = container.decode(container.streams.audio[0])
        return b"".join(frame.to_ndarray().tobytes() for frame in decoded)


@pytest.mark.parametrize("options", FORMATS, ids=lambda options: options.format)
@pytest.mark.parametrize("title", TITLES)
def test_only_the_title_changes(options: Options, title: str) -> None:
    before = encoded(options, TAGS)
    after = retitled(before, title)
    assert tags_of(after) == tags_of(before) | {"title": title}
    assert samples_of(after) == samples_of(before)


@pytest.mark.parametrize("options", FORMATS, ids=lambda options: options.format)
@pytest.mark.parametrize("cover", [b"", COVER], ids=["no cover", "cover"])
def test_the_file_is_as_if_it_had_been_written_with_the_title(
    options: Options, cover: bytes
) -> None:
    first, second = (
        AudioTags(title, "A", "", "1", "", cover) for title in ("a (bass)", "bcd (bass)")
    )
    assert retitled(encoded(options, first), "bcd (bass)") == encoded(options, second)


@pytest.mark.parametrize("options", FORMATS, ids=lambda options: options.format)
def test_a_file_without_a_title_gets_none(options: Options) -> None:
    assert retitle(encoded(options, NO_TAGS), "title") is None


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "plain.wav", np.zeros((100, 2)), 44_100)
    for data in (b"", b"ID3", b"no audio", (tmp_path / "plain.wav").read_bytes()):
        assert retitle(data, "title") is None


@pytest.mark.parametrize("options", FORMATS, ids=lambda options: options.format)
def test_a_damaged_file_is_no_error(options: Options) -> None:
    data = encoded(options, TAGS)[:2000]
    chance = random.Random(1)
    for _ in range(2000):
        damaged = bytearray(data[: chance.randrange(4, len(data))])
        for _ in range(chance.randrange(4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        new = retitle(bytes(damaged), "title")
        assert new is None or new.replaced <= len(damaged)
