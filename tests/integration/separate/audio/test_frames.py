"""Every format is read, a cut one says so, and damage is measured in time and silenced."""

import io
import re
import struct
from collections.abc import Callable

import av
import lameenc
import numpy as np
import pytest
import soundfile

from tests.integration.separate.audio import odd_files
from tests.integration.separate.audio.decoding import decoded, lag, level, refusal
from tests.integration.separate.sounds import decibels, encoded, file, music, video

SECONDS = 6.0
MUSIC = music(SECONDS)
MUSIC_48 = music(SECONDS, 48_000)

FORMATS: dict[str, tuple[Callable[[], bytes], str, int | None]] = {
    "aiff": (lambda: file(MUSIC, kind="AIFF", subtype="PCM_16"), "aiff", 16),
    "aiff24": (lambda: file(MUSIC, kind="AIFF", subtype="PCM_24"), "aiff", 24),
    "aifc-float": (lambda: file(MUSIC, kind="AIFF", subtype="FLOAT"), "aiff", 32),
    "caf": (lambda: file(MUSIC, kind="CAF", subtype="PCM_24"), "caf", 24),
    "caf-alac": (lambda: file(MUSIC, kind="CAF", subtype="ALAC_16"), "caf", 16),
    "alac24": (lambda: encoded(MUSIC, 44_100, "ipod", "alac"), "mp4", 24),
    "flac24": (lambda: file(MUSIC, kind="FLAC", subtype="PCM_24"), "flac", 24),
    "webm": (lambda: encoded(MUSIC_48, 48_000, "webm", "libopus"), "webm", None),
    "mka-flac": (lambda: encoded(MUSIC, 44_100, "matroska", "flac"), "matroska", 16),
    "mka-aac": (lambda: encoded(MUSIC, 44_100, "matroska", "aac"), "matroska", None),
    "mp4-video": (lambda: video(MUSIC, "mp4", "aac"), "mp4", None),
    "mov-video": (lambda: video(MUSIC, "mov", "pcm_s16le"), "mov", 16),
    "mkv-video": (lambda: video(MUSIC, "matroska", "aac"), "matroska", None),
    "wavpack": (lambda: encoded(MUSIC, 44_100, "wv", "wavpack"), "wv", 8),
    "ogg-flac": (lambda: encoded(MUSIC, 44_100, "ogg", "flac"), "ogg", 16),
    "w64": (lambda: encoded(MUSIC, 44_100, "w64", "pcm_s24le"), "w64", 24),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_read_to_the_sample(name: str) -> None:
    make, container, bits = FORMATS[name]
    song, samples = decoded(make())
    assert container in song.audio.container
    assert song.audio.bits == bits
    assert lag(samples, MUSIC) == 0
    assert 0 <= len(samples) - len(MUSIC) <= 2048 or name == "caf-alac"
    n = min(len(samples), len(MUSIC))
    assert decibels(samples[:n], MUSIC[:n]) < (-14 if bits is None else -37)
    assert song.warnings == []


def test_aac_in_a_caf_begins_with_the_song() -> None:
    aac = encoded(MUSIC, 44_100, "adts", "aac")
    _, samples = decoded(odd_files.caf_aac(aac, len(MUSIC)))
    assert len(samples) == len(MUSIC)
    assert decibels(samples, MUSIC) < -14


@pytest.mark.parametrize("container", ["3gp", "3g2"])
def test_aac_in_a_3gp_is_read(container: str) -> None:
    _, samples = decoded(encoded(MUSIC, 44_100, container, "aac"))
    assert decibels(samples[: len(MUSIC)], MUSIC) < -14


CODECS = {
    "mp2": lambda: encoded(MUSIC, 44_100, "mp2", "mp2"),
    "mp3-in-wav": lambda: encoded(MUSIC, 44_100, "wav", "libmp3lame"),
    "mp3-in-caf": lambda: encoded(MUSIC, 44_100, "caf", "libmp3lame"),
    "ima-in-caf": lambda: encoded(MUSIC, 44_100, "caf", "adpcm_ima_qt"),
    "ima": lambda: encoded(MUSIC, 44_100, "wav", "adpcm_ima_wav"),
    "yamaha": lambda: encoded(MUSIC, 44_100, "wav", "adpcm_yamaha"),
    "a-law": lambda: encoded(MUSIC, 44_100, "wav", "pcm_alaw"),
    "mu-law": lambda: file(MUSIC, kind="AIFF", subtype="ULAW"),
    "ac3": lambda: encoded(MUSIC_48, 48_000, "matroska", "ac3"),
    "eac3": lambda: encoded(MUSIC_48, 48_000, "mp4", "eac3"),
    "opus-in-mp4": lambda: encoded(MUSIC_48, 48_000, "mp4", "libopus"),
    "flac-in-mp4": lambda: encoded(MUSIC, 44_100, "mp4", "flac"),
    "wavpack-in-mka": lambda: encoded(MUSIC, 44_100, "matroska", "wavpack"),
    "pcm-in-mov": lambda: encoded(MUSIC, 44_100, "mov", "pcm_s24be"),
}


@pytest.mark.parametrize("name", CODECS)
def test_a_codec_of_the_list_is_decoded(name: str) -> None:
    _, samples = decoded(CODECS[name]())
    shift = lag(samples, MUSIC)
    assert 0 <= shift <= 1105
    assert level(samples) == pytest.approx(level(MUSIC), rel=0.1)


@pytest.mark.parametrize(
    ("container", "codec"), [("matroska", "tta"), ("wav", "g722"), ("wav", "pcm_s64le")]
)
def test_a_codec_that_is_not_meant_is_rejected_by_name(container: str, codec: str) -> None:
    rate = 16_000 if codec == "g722" else 44_100
    channels = 1 if codec == "g722" else 2
    data = encoded(music(1.0, rate, channels), rate, container, codec)
    refused = refusal(data)
    assert (refused.kind, f"the codec {codec}" in refused.detail) == ("corrupt", True)


def test_more_channels_than_can_be_read_are_rejected() -> None:
    made = io.BytesIO()
    with av.open(made, "w", format="wv") as output:
        stream = output.add_stream("wavpack", rate=44_100, layout="hexadecagonal")
        samples = np.full((16, 4096), 0.1, np.float32)
        frame = av.AudioFrame("fltp", "hexadecagonal", 4096)
        for plane, channel in zip(frame.planes, samples, strict=False):
            plane.update(channel.tobytes())
        frame.sample_rate = 44_100
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    refused = refusal(made.getvalue())
    assert (refused.kind, refused.detail) == ("corrupt", "none of it can be decoded")


def test_an_unknown_codec_is_rejected() -> None:
    wav = bytearray(file(MUSIC))
    wav[20:22] = b"\x99\x99"
    assert "an unknown codec" in refusal(bytes(wav)).detail


def test_a_free_format_mp3_is_not_read() -> None:
    pcm = (MUSIC_48 * 32_767).astype("<i2").tobytes()
    lame = lameenc.Encoder()
    lame.set_bit_rate(128)
    lame.set_in_sample_rate(48_000)
    lame.set_channels(2)
    lame.silence()
    mp3 = bytes(lame.encode(pcm) + lame.flush())
    assert refusal(odd_files.free_format_mp3(mp3, 384)).kind == "not-audio"


def needs_index(data: bytes) -> bool:
    """Whether it is an MP4, whose index is at the end."""
    return data[4:8] == b"ftyp"


@pytest.mark.parametrize("share", [0.5, 0.97])
@pytest.mark.parametrize("name", FORMATS)
def test_a_cut_file_is_rejected_or_has_a_warning(name: str, share: float) -> None:
    data = FORMATS[name][0]()
    cut = data[: int(len(data) * share)]
    song, _ = decoded(cut, allow_truncated=True) if not needs_index(cut) else (None, None)
    if song is None:
        assert refusal(cut).kind == "truncated"
    else:
        is_tail_of_video = name == "mkv-video" and share > 0.9
        assert song.warnings or is_tail_of_video


def test_what_is_there_of_a_cut_file_is_separated_if_that_is_allowed() -> None:
    wav = file(MUSIC)
    song, samples = decoded(wav[: len(wav) // 2], allow_truncated=True)
    assert decibels(samples, MUSIC[: len(samples)]) < -75
    assert any("it ends after 3.0 s of 6.0 s" in warning for warning in song.warnings)


def test_an_incomplete_song_with_much_damage_is_corrupt_in_any_case() -> None:
    flac = bytearray(file(music(30), kind="FLAC"))
    for at in range(20_000, len(flac) // 2, 30_000):
        flac[at] ^= 0x10
    refused = refusal(bytes(flac[: len(flac) // 2]), allow_truncated=True)
    assert (refused.kind, "are damaged" in refused.detail) == ("corrupt", True)


def test_an_incomplete_song_with_a_little_damage_is_separated_if_that_is_allowed() -> None:
    flac = bytearray(file(music(30), kind="FLAC"))
    flac[100_000] ^= 0x10
    song, _ = decoded(bytes(flac[: len(flac) // 2]), allow_truncated=True)
    assert any("could not be decoded" in warning for warning in song.warnings)
    assert any("it ends after" in warning for warning in song.warnings)


def test_a_damaged_flac_frame_is_silent_and_everything_else_stays_in_place() -> None:
    flac = bytearray(file(MUSIC, kind="FLAC"))
    flac[len(flac) // 2] ^= 0x10
    song, samples = decoded(bytes(flac))
    assert len(samples) == len(MUSIC)
    wrong = np.flatnonzero(np.abs(samples - MUSIC).max(1) > 0.001)
    assert 0 < len(wrong) <= 4096
    assert not samples[wrong].any()
    assert song.audio.missing_seconds == pytest.approx(4096 / 44_100, abs=0.01)
    assert "0.093 s of audio could not be decoded" in song.warnings


def test_more_damage_is_corrupt_and_its_time_is_told() -> None:
    flac = bytearray(file(MUSIC, kind="FLAC"))
    for at in range(20_000, len(flac) - 60_000, 30_000):
        flac[at] ^= 0x10
    refused = refusal(bytes(flac))
    assert refused.kind == "corrupt"
    assert re.fullmatch(r"[012]\.\d\d s of [56]\.\d\d s are damaged", refused.detail), (
        refused.detail
    )


def test_samples_that_are_no_numbers_are_silence_with_a_warning() -> None:
    odd = MUSIC.copy()
    odd[1000:1010, 0], odd[2000, 1] = np.nan, np.inf
    song, samples = decoded(file(odd, subtype="FLOAT"))
    assert np.array_equal(samples, np.where(np.isfinite(odd), odd, 0))
    assert song.warnings == ["11 samples are no numbers: they were replaced with silence"]
    assert song.audio.mean == pytest.approx(samples.mean(), abs=1e-6)


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_a_level_that_no_recording_has_is_corrupt(subtype: str) -> None:
    assert refusal(file(MUSIC * 1e6, subtype=subtype)).kind == "corrupt"


def test_a_few_impossible_samples_are_silence_with_a_warning() -> None:
    odd = MUSIC.copy()
    odd[5000] = 1e30
    song, samples = decoded(file(odd, subtype="FLOAT"))
    assert not samples[5000].any()
    assert "1 samples are louder than audio can be" in song.warnings[0]


def test_a_float_song_above_full_scale_stays_as_it_is() -> None:
    loud = 4 * MUSIC / np.abs(MUSIC).max()
    assert np.array_equal(decoded(file(loud, subtype="FLOAT"))[1], loud)


def test_a_loud_burst_in_a_damaged_mp3_is_clipped() -> None:
    mp3 = bytearray(encoded(0.3 * music(20), 44_100, "mp3", "libmp3lame"))
    rng = np.random.default_rng(5)
    for at in rng.integers(5000, len(mp3), 12):
        mp3[at] ^= 1 << rng.integers(8)
    _, samples = decoded(bytes(mp3))
    assert np.abs(samples).max() <= 1
    assert level(samples) == pytest.approx(level(0.3 * music(20)), rel=0.2)


def test_only_the_centre_of_5_1_is_heard_on_both_sides() -> None:
    six = np.zeros((len(MUSIC), 6), np.float32)
    six[:, 2] = MUSIC[:, 0]
    made = io.BytesIO()
    soundfile.write(made, six, 44_100, subtype="PCM_16", format="WAV")
    song, samples = decoded(made.getvalue())
    assert decibels(samples, 0.5**0.5 * MUSIC[:, :1].repeat(2, 1)) < -70
    assert song.warnings == ["it has 6 channels: they were mixed down"]


def test_tags_that_are_no_utf_8_are_read() -> None:
    made = io.BytesIO()
    with soundfile.SoundFile(made, "w", 44_100, 2, "PCM_16", format="WAV") as output:
        output.title = "Bjoerk"
        output.artist = "Sigur"
        output.write(MUSIC)
    wav = (
        made.getvalue().replace(b"Bjoerk", b"Bj\xf6rk!").replace(b"Sigur", b"\xff\xfe\x81\xd8\x00")
    )
    song, _ = decoded(wav)
    assert song.audio.tags["title"] == "Björk!"


@pytest.mark.parametrize(
    ("encoding", "title"),
    [
        ("latin-1", "Jóga"),
        ("cp1251", "Группа крови"),
        ("cp932", "残酷な天使のテーゼ"),
        ("gb18030", "七里香"),
    ],
)
def test_tags_without_an_encoding_refuse_no_song(encoding: str, title: str) -> None:
    text = title.encode(encoding)
    id3v1 = (b"TAG" + text.ljust(30, b"\0") + text.ljust(30, b"\0")).ljust(128, b"\0")
    info = b"INFOINAM" + struct.pack("<I", len(text) + 1) + text + b"\0" * (1 + ~len(text) % 2)
    listed = b"LIST" + struct.pack("<I", len(info)) + info
    wav = bytearray(file(MUSIC) + listed)
    wav[4:8] = struct.pack("<I", len(wav) - 8)
    mp3 = encoded(MUSIC, 44_100, "mp3", "libmp3lame")
    mp3 = mp3[odd_files.frame_start(mp3) :]  # without the ID3v2, which counts more
    for song in (decoded(mp3 + id3v1)[0], decoded(bytes(wav))[0]):
        assert song.audio.tags["title"] == title


TITLE = "Группа 夜"


@pytest.mark.parametrize(
    ("encoding", "text", "title"),
    [
        (1, TITLE.encode("utf-16"), TITLE),
        (1, b"\xfe\xff" + TITLE.encode("utf-16-be"), TITLE),
        (1, TITLE.encode("utf-16") + b"x", TITLE),
        (1, TITLE.encode("utf-16-le"), None),
        (1, b"\xff\xfeA\0\x00\xd8B\0", "A"),
        (1, b"\xff\xfe", None),
        (2, TITLE.encode("utf-16-be"), TITLE),
        (3, "Björk".encode("latin-1"), "Björk"),
        (0, TITLE.encode(), TITLE),
        (0, "Группа крови".encode("cp1251"), "Группа крови"),
        (9, b"abc", None),
        (0, b"", None),
    ],
)
def test_an_id3v2_title_in_any_encoding_refuses_no_song(
    encoding: int, text: bytes, title: str | None
) -> None:
    mp3 = encoded(MUSIC, 44_100, "mp3", "libmp3lame")
    tag = odd_files.id3v2_title(encoding, text)
    song, _ = decoded(tag + mp3[odd_files.frame_start(mp3) :])
    assert song.audio.tags.get("title") == title


@pytest.mark.parametrize("size", [0x2000_0AA5, 0x7FFF_FFFF, 0xFFFF_FFFF])
@pytest.mark.parametrize("codec", ["aac", "alac"])
def test_a_packet_with_an_absurd_size_is_where_the_song_ends(codec: str, size: int) -> None:
    damaged = odd_files.with_packet_size(encoded(MUSIC, 44_100, "ipod", codec), 40, size)
    rejected = refusal(damaged)
    assert rejected.kind == "truncated"
    assert re.search(r"it ends after [0-3]\.\d s of 6\.0 s", rejected.detail)
    song, samples = decoded(damaged, allow_truncated=True)
    assert 0.8 < song.seconds < 4
    samples = samples[lag(samples, MUSIC) : -2048]  # FFmpeg does not always know the priming
    assert decibels(samples, MUSIC[: len(samples)]) < -14
    assert song.warnings


def test_an_absurd_size_of_the_first_packet_is_damage() -> None:
    damaged = odd_files.with_packet_size(encoded(MUSIC, 44_100, "ipod", "aac"), 0, 0xFFFF_FFFF)
    rejected = refusal(damaged)
    assert (rejected.kind, rejected.detail) == ("corrupt", "none of it can be decoded")
