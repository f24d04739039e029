"""A stem.mp4 keeps to the rules of the programs that read it. They are known from

- creator: Native Instruments' program that makes such files (github.com/axeldelafosse/stemgen,
  ni-stem/_internal.py);
- specification: Native Instruments' Stem File Specification, as far as it is quoted in
  github.com/axeldelafosse/stemgen/issues/38;
- ni-media: what Native Instruments' programs read audio with
  (github.com/NativeInstruments/ni-media, media_foundation_file_source.cpp);
- Mixxx: github.com/mixxxdj/mixxx, src/track/steminfoimporter.cpp, src/sources/soundsourcestem.cpp.
"""

import io
import json
import re
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from functions.upload.encoding.stem_file import write_stem_file
from functions.upload.encoding.stem_source import StemSource
from microdemucs.audio_tags import AudioTags
from testing.encoded_stems import Samples, decode, encode, lag, make_samples, signal_to_noise
from testing.mp4_atoms import find_atoms

NAMES = ["drums", "bass", "other", "vocals"]
LENGTH = 60_011
COVER = b"\xff\xd8\xff" + bytes(range(256)) * 1000
TAGS = AudioTags("Söng", "A", "", "3/12", "1999", COVER)
STEMS = [make_samples(seed, LENGTH) for seed in range(4)]


@pytest.fixture(scope="module")
def stem_file() -> bytes:
    return written(TAGS)


def written(tags: AudioTags, stems: list[Samples] = STEMS) -> bytes:
    sources = [StemSource(io.BytesIO(encode(stem, format="flac")), "flac") for stem in stems]
    file = io.BytesIO()
    write_stem_file(sources, NAMES, tags, file)
    return file.getvalue()


@pytest.fixture(scope="module")
def manifest(stem_file: bytes) -> Any:
    """The JSON of the only atom where programs look for it (specification)."""
    [atom] = find_atoms(stem_file, "moov/udta/stem")
    return json.loads(atom)


def test_the_type_of_the_file_shows_in_its_first_bytes(stem_file: bytes) -> None:
    """Mixxx (isStemMimeType) asks for the type by content; freedesktop.org knows these brands."""
    assert stem_file[4:12] in (b"ftypisom", b"ftypmp42", b"ftypM4A ")


def test_mixxx_finds_the_metadata(stem_file: bytes) -> None:
    """It looks into the first udta only (seekTillAtom)."""
    assert len(find_atoms(stem_file, "moov/udta")) == 1
    assert len(find_atoms(stem_file, "moov/udta/stem")) == 1


def test_the_metadata_names_and_colours_the_tracks_behind_the_mix(manifest: Any) -> None:
    """Mixxx (importStemInfos) asks for the version, and for a name and a colour of each stem."""
    assert manifest["version"] == 1
    assert [stem["name"].lower() for stem in manifest["stems"]] == NAMES
    assert all(re.fullmatch("#[0-9A-F]{6}", stem["color"]) for stem in manifest["stems"])


def test_the_effects_have_all_members_that_the_creator_writes(manifest: Any) -> None:
    """Creator, and github.com/faroit/stempeg, stempeg/data/default_metadata.json."""
    effects = manifest["mastering_dsp"]
    assert set(effects) == {"compressor", "limiter"}
    assert set(effects["compressor"]) == {
        *("enabled", "ratio", "threshold", "attack", "release"),
        *("input_gain", "output_gain", "hp_cutoff", "dry_wet"),
    }
    assert set(effects["limiter"]) == {"enabled", "release", "threshold", "ceiling"}
    assert [effect["enabled"] for effect in effects.values()] == [False, False]


def test_other_players_play_the_mix_alone(stem_file: bytes) -> None:
    """The creator disables the stems (`:disable`): bit 0 of the flags of tkhd."""
    tracks = find_atoms(stem_file, "moov/trak/tkhd")
    assert [int.from_bytes(track[1:4], "big") & 1 for track in tracks] == [1, 0, 0, 0, 0]
    assert [int.from_bytes(track[12:16], "big") for track in tracks] == [1, 2, 3, 4, 5]


def test_the_number_of_a_stream_is_that_of_its_track(stem_file: bytes) -> None:
    """Mixxx: "StemIdx is equal to StreamIdx -1"; the cover is a stream for it and must be last.

    ni-media (calcStreamIndex) counts the streams of audio, of which the first is the mix.
    """
    with av.open(io.BytesIO(stem_file)) as container:
        assert [stream.type for stream in container.streams] == ["audio"] * 5 + ["video"]


def test_every_track_is_aac_of_low_complexity(stem_file: bytes) -> None:
    """Only ALAC and AAC LC with 256 kbit/s are allowed: github.com/mixxxdj/mixxx/issues/15364."""
    descriptions = find_atoms(stem_file, "moov/trak/mdia/minf/stbl/stsd")
    assert len(descriptions) == 5
    for description in descriptions:
        [entry] = find_atoms(description[8:], "mp4a")
        [decoder] = find_atoms(entry[28:], "esds")
        config = decoder[decoder.index(b"\x04\x80\x80\x80") + 5 :]
        audio = config[config.index(b"\x05\x80\x80\x80") + 5 :]
        assert config[0] == 0x40  # MPEG-4 audio (ISO/IEC 14496-1, table 5)
        assert int.from_bytes(config[5:9], "big") == 256_000
        assert audio[0] >> 3 == 2  # AAC LC (ISO/IEC 14496-3, table 1.17)


@pytest.mark.parametrize(
    "lengths", [[LENGTH] * 4, [LENGTH, LENGTH - 9000, 20_000, LENGTH - 1]], ids=["equal", "unequal"]
)
def test_all_tracks_have_one_length(lengths: list[int]) -> None:
    """Mixxx has one range of samples, that of the first stem (initFrameIndexRangeOnce)."""
    stems = [stem[:, :length] for stem, length in zip(STEMS, lengths, strict=True)]
    tracks = find_atoms(written(TAGS, stems), "moov/trak")
    for path, first, size in [("tkhd", 20, 4), ("edts/elst", 8, 4), ("mdia/mdhd", 16, 4)]:
        atoms = [find_atoms(track, path)[0] for track in tracks]
        assert len({atom[first : first + size] for atom in atoms}) == 1, path


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
        assert container.metadata["track"] == "3/12"
        assert container.metadata["date"] == "1999"
        assert "album" not in container.metadata


@pytest.mark.parametrize("cover", [COVER, b"\x89PNG" + bytes(1000)], ids=["jpeg", "png"])
def test_the_cover_is_in_the_tags_and_no_track(cover: bytes) -> None:
    data = written(AudioTags("T", cover=cover))
    assert data.count(b"trak") == 5
    with av.open(io.BytesIO(data), "r") as container:
        [picture] = container.streams.video
        assert picture.disposition & Disposition.attached_pic
        assert bytes(next(container.demux(picture))) == cover


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
