"""What lies beside the audio is not audio, links are one song, and headers are only evidence."""

import io
import struct

import numpy as np
import pytest
import soundfile

from microdemucs.mpeg_audio import read_mpeg_header
from tests.integration.separate.audio import odd_files
from tests.integration.separate.audio.decoding import decoded, lag, level, refusal
from tests.integration.separate.sounds import Samples, decibels, encoded, file, music

SECONDS = 6.0
MUSIC = music(SECONDS)
MP3 = encoded(MUSIC, 44_100, "mp3", "libmp3lame")
FRAMES = MP3[odd_files.frame_start(MP3) :]  # with the Info frame, without the tag
AAC = encoded(MUSIC, 44_100, "adts", "aac")
FAKE = odd_files.fake_frames(MP3, 12)
COVER = odd_files.picture(330_000)


def whole_of(data: bytes) -> Samples:
    return decoded(data)[1]


PURE_MP3, PURE_AAC = whole_of(MP3), whole_of(AAC)

BEHIND = {
    "id3v1": odd_files.id3v1(),
    "ape-cover": odd_files.ape(COVER),
    "ape-fake-frames": odd_files.ape(FAKE),
    "ape-v1": odd_files.ape(COVER, version=1000, header=False),
    "ape-and-id3v1": odd_files.ape(FAKE) + odd_files.id3v1(),
    "lyrics3": odd_files.lyrics3(b"la la\r\n" * 900),
    "lyrics3-ape-id3v1": odd_files.ape(FAKE) + odd_files.lyrics3(FAKE[:9000]) + odd_files.id3v1(),
    "id3v2-appended": odd_files.id3v2(FAKE, footer=True),
    "id3v2-without-footer": odd_files.id3v2(COVER),
    "zeros": bytes(50_000),
    "text": b"bought at a shop " * 3000,
    "noise": odd_files.noise(200_000),
    "picture": COVER,
}


@pytest.mark.parametrize("tag", BEHIND.values(), ids=BEHIND.keys())
def test_what_lies_behind_an_mp3_is_not_heard(tag: bytes) -> None:
    song, samples = decoded(MP3 + tag)
    assert np.array_equal(samples, PURE_MP3)
    assert song.audio.missing_seconds == 0


@pytest.mark.parametrize("tag", BEHIND.values(), ids=BEHIND.keys())
def test_what_lies_behind_raw_aac_is_not_heard(tag: bytes) -> None:
    assert np.array_equal(decoded(AAC + tag)[1], PURE_AAC)


IN_FRONT = {
    "id3v2-cover": odd_files.id3v2(COVER),
    "id3v2-fake-frames": odd_files.id3v2(FAKE),
    "two-id3v2": odd_files.id3v2(COVER) + odd_files.id3v2(FAKE),
    "ape": odd_files.ape(FAKE),
    "zeros": bytes(30_000),
    "junk": odd_files.noise(3_000),
    "id3v2-and-padding": odd_files.id3v2(COVER) + bytes(5_000),
    "id3v2-larger-than-the-file": b"ID3\x04\0\0\x7f\x7f\x7f\x7f",
}


@pytest.mark.parametrize("tag", IN_FRONT.values(), ids=IN_FRONT.keys())
def test_what_lies_in_front_of_an_mp3_is_not_heard(tag: bytes) -> None:
    assert np.array_equal(decoded(tag + FRAMES)[1], PURE_MP3)


@pytest.mark.parametrize("tag", BEHIND.values(), ids=BEHIND.keys())
def test_what_lies_between_joined_mp3s_is_not_heard(tag: bytes) -> None:
    song, samples = decoded(MP3 + tag + MP3)
    second = samples[-len(PURE_MP3) + 4000 :]
    assert abs(len(samples) - 2 * len(PURE_MP3)) < 3 * 1152
    assert np.abs(samples).max() == pytest.approx(np.abs(PURE_MP3).max(), rel=0.05)
    shift = lag(second, PURE_MP3)
    assert decibels(second[5000:-5000], PURE_MP3[5000 - shift :][: len(second) - 10_000]) < -40
    assert song.audio.missing_seconds == 0


def test_a_tag_in_the_middle_takes_nothing_from_the_song() -> None:
    at = 0
    while at < len(FRAMES) // 2:
        frame = read_mpeg_header(FRAMES[at : at + 8])
        assert frame
        at += frame.size
    tagged = FRAMES[:at] + odd_files.id3v2(FAKE) + FRAMES[at:]
    assert np.array_equal(decoded(tagged)[1], PURE_MP3)


def test_an_mp3_that_lost_a_stretch_tells_how_much() -> None:
    song, samples = decoded(MP3[:40_000] + odd_files.noise(1_500) + MP3[41_500:])
    assert 0.05 < song.audio.missing_seconds < 0.3
    assert "could not be decoded" in song.warnings[-1]
    assert np.abs(samples).max() < 1


def test_an_mp3_that_lost_more_is_corrupt() -> None:
    data = MP3[:30_000] + odd_files.noise(20_000) + MP3[50_000:]
    refused = refusal(data)
    assert (refused.kind, "are damaged" in refused.detail) == ("corrupt", True)


@pytest.mark.parametrize("second", ["mono", "22050"])
@pytest.mark.parametrize("kind", ["vorbis", "opus", "flac"])
def test_the_links_of_a_chained_ogg_are_one_song(kind: str, second: str) -> None:
    def link(samples: np.ndarray, rate: int) -> bytes:
        if kind == "vorbis":
            return file(samples, rate, kind="OGG", subtype="VORBIS")
        if kind == "opus":
            return encoded(samples, rate, "ogg", "libopus")
        return encoded(samples, rate, "ogg", "flac")

    rate = 48_000 if kind == "opus" else 44_100
    second_rate = rate if second == "mono" else 24_000 if kind == "opus" else 22_050
    other = music(SECONDS, second_rate, channels=1 if second == "mono" else 2, seed=3)
    song, samples = decoded(link(music(SECONDS, rate), rate) + link(other, second_rate))
    assert song.seconds == pytest.approx(2 * SECONDS, abs=0.1)
    tail = samples[round(SECONDS * 44_100) + 2000 :]
    right = music(SECONDS, 44_100, channels=other.shape[1], seed=3)
    right = np.repeat(right, 2, 1) if right.shape[1] == 1 else right
    assert level(tail) == pytest.approx(level(right), rel=0.1)


def test_a_hole_in_an_ogg_is_counted_in_time() -> None:
    ogg = file(music(30), kind="OGG", subtype="VORBIS")
    song, _ = decoded(ogg[:100_000] + ogg[106_000:], max_seconds=60)
    assert 0.2 < song.audio.missing_seconds < 2
    assert refusal(ogg[:100_000] + ogg[160_000:]).kind == "corrupt"


@pytest.mark.parametrize(("valid", "stored"), [(24, 32), (16, 32), (16, 24), (20, 24), (20, 32)])
def test_a_wav_with_fewer_valid_bits_is_read_as_libsndfile_reads_it(
    valid: int, stored: int
) -> None:
    data = odd_files.wav_of_width(MUSIC, valid, stored)
    song, samples = decoded(data)
    assert np.array_equal(samples, soundfile.read(io.BytesIO(data), dtype="float32")[0])
    assert decibels(samples, MUSIC) < -80 + 6 * (valid == 16)
    assert (song.audio.bits, song.audio.codec) == (valid, f"pcm_s{stored}le")


def test_an_adpcm_wav_with_a_wrong_byte_rate_is_whole() -> None:
    data = bytearray(encoded(MUSIC, 44_100, "wav", "adpcm_ms"))
    data[28:32] = struct.pack("<I", 16_000)
    song, samples = decoded(bytes(data))
    assert song.seconds == pytest.approx(SECONDS, abs=0.05)
    assert lag(samples, MUSIC) == 0


@pytest.mark.parametrize(("at", "field"), [(28, "<I"), (32, "<H"), (34, "<H")])
@pytest.mark.parametrize("wrong", [0, 1, 3])
def test_one_wrong_field_of_a_wav_header_is_outvoted(at: int, field: str, wrong: int) -> None:
    data = bytearray(file(MUSIC, subtype="PCM_24"))
    size = struct.calcsize(field)
    data[at : at + size] = struct.pack(field, wrong)
    assert decibels(decoded(bytes(data))[1], MUSIC) < -110


FMT = struct.pack("<HHIIHH", 1, 2, 44_100, 44_100 * 4, 4, 16)
PCM = (MUSIC * 32767).astype("<i2").tobytes()


@pytest.mark.parametrize(
    "data",
    [
        odd_files.bw64(FMT, PCM),
        odd_files.bw64(FMT, PCM, b"RF64"),
        file(MUSIC, kind="RF64", subtype="PCM_16"),
        file(MUSIC, kind="W64", subtype="PCM_16"),
        file(MUSIC, kind="WAVEX", subtype="PCM_16"),
    ],
    ids=["bw64", "rf64", "sndfile-rf64", "w64", "wavex"],
)
def test_large_waves_are_read(data: bytes) -> None:
    song, samples = decoded(data)
    assert len(samples) == len(MUSIC)
    assert decibels(samples, MUSIC) < -75
    assert song.audio.declared_seconds == pytest.approx(SECONDS)
    assert refusal(data[: len(data) // 2]).kind == "truncated"


@pytest.mark.parametrize("tag", [odd_files.id3v1(), odd_files.ape(FAKE), odd_files.noise(90_000)])
def test_what_lies_behind_a_wav_is_not_heard(tag: bytes) -> None:
    assert len(decoded(odd_files.wav(FMT, PCM) + tag)[1]) == len(MUSIC)
