import io

import av
import numpy as np
import pytest

from functions.upload.encoding.stem_file import write_stem_file
from functions.upload.encoding.stem_source import StemSource
from testing.encoded_stems import Samples, decode, encode, lag, make_samples, signal_to_noise

NAMES = ["drums", "bass", "other", "vocals"]
LENGTH = 60_011
STEMS = [make_samples(seed, LENGTH) for seed in range(4)]


@pytest.fixture(scope="module")
def stem_file() -> bytes:
    sources = [StemSource(io.BytesIO(encode(stem, format="flac")), "flac") for stem in STEMS]
    file = io.BytesIO()
    write_stem_file(sources, NAMES, {"title": "Söng", "artist": "A", "album": ""}, file)
    return file.getvalue()


def test_there_are_five_stereo_tracks_of_aac_and_only_the_mix_is_enabled(stem_file: bytes) -> None:
    with av.open(io.BytesIO(stem_file)) as container:
        tracks = container.streams.audio
        assert [track.metadata["handler_name"] for track in tracks] == ["mix", *NAMES]
        kinds = {(track.codec_context.name, track.channels, track.sample_rate) for track in tracks}
        assert kinds == {("aac", 2, 44_100)}
        enabled = [bool(track.disposition & 1) for track in tracks]
        assert enabled == [True, False, False, False, False]


def test_the_tags_are_those_of_the_song(stem_file: bytes) -> None:
    with av.open(io.BytesIO(stem_file)) as container:
        assert container.metadata["title"] == "Söng"
        assert container.metadata["artist"] == "A"
        assert "album" not in container.metadata


@pytest.mark.parametrize("track", range(5))
def test_each_track_is_its_stem_to_the_sample(stem_file: bytes, track: int) -> None:
    reference: Samples = STEMS[track - 1] if track else np.sum(STEMS, axis=0)
    decoded = decode(stem_file, track)
    assert lag(decoded, reference) == 0
    assert signal_to_noise(decoded[:, :LENGTH], reference) > 25


def test_the_tracks_announce_the_length_of_the_stems(stem_file: bytes) -> None:
    with av.open(io.BytesIO(stem_file)) as container:
        for track in container.streams.audio:
            assert track.duration
            assert track.time_base
            assert track.duration * track.time_base * 44_100 == LENGTH
