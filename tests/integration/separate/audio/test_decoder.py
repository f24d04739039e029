"""Every format becomes the same samples, and each file that is no song has its problem."""

import os
import signal
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch
from demucs.audio import convert_audio

from functions.separate.audio import decoder
from functions.separate.audio.decoder import DecodedSong
from microdemucs.problems import Problem, Rejected
from tests.integration.separate.audio.decoding import decoded, opened
from tests.integration.separate.sounds import Samples, decibels, encoded, file, music

SECONDS = 3.0
MUSIC = music(SECONDS)
# What an encoder adds around the samples, at most.
PADDING = 2400


@pytest.mark.parametrize(
    ("data", "below"),
    [
        (file(MUSIC, subtype="PCM_16"), -75),
        (file(MUSIC, subtype="PCM_24"), -120),
        (file(MUSIC, subtype="FLOAT"), -180),
        (file(MUSIC, subtype="DOUBLE"), -180),
        (file(MUSIC, kind="FLAC", subtype="PCM_16"), -75),
        (file(MUSIC, kind="FLAC", subtype="PCM_24"), -120),
        (file(MUSIC, kind="OGG", subtype="VORBIS"), -15),
        (encoded(MUSIC, 44_100, "mp3", "libmp3lame"), -15),
        (encoded(MUSIC, 44_100, "ipod", "aac"), -15),
        (encoded(MUSIC, 44_100, "ipod", "alac"), -75),
        (encoded(music(SECONDS, 48_000), 48_000, "ogg", "libopus"), -10),
    ],
    ids=[
        *("wav16", "wav24", "wav32f", "wav64f", "flac16", "flac24"),
        *("vorbis", "mp3", "aac", "alac", "opus"),
    ],
)
def test_a_format_is_decoded_to_the_samples_that_were_encoded(data: bytes, below: float) -> None:
    song, samples = decoded(data)
    assert abs(song.length - len(MUSIC)) <= PADDING
    n = min(song.length, len(MUSIC))
    assert decibels(samples[:n], MUSIC[:n]) < below


def test_raw_aac_keeps_its_padding() -> None:
    samples = decoded(encoded(MUSIC, 44_100, "adts", "aac"))[1]
    n = len(MUSIC) - 1024
    assert decibels(samples[1024 : 1024 + n], MUSIC[:n]) < -15


@pytest.mark.parametrize("rate", [8000, 22_050, 48_000, 96_000])
def test_other_rates_are_resampled_as_demucs_does(rate: int) -> None:
    original = music(SECONDS, rate)
    samples = decoded(file(original, rate, subtype="FLOAT"))[1]
    expected = convert_audio(torch.from_numpy(original.T.copy()), rate, 44_100, 2).numpy().T
    inner = slice(4410, -4410)  # at the ends each resampler has its own guess
    assert abs(len(samples) - len(expected)) <= 1
    # julius' filter is shorter: what lies near half the lower rate differs
    assert decibels(samples[: len(expected)][inner], expected[: len(samples)][inner]) < -20


def test_a_resampled_tone_has_no_other_tones() -> None:
    t = np.arange(3 * 48_000) / 48_000
    original = np.stack([0.5 * np.sin(2 * np.pi * 997 * t)] * 2, 1).astype(np.float32)
    samples = decoded(file(original, 48_000, subtype="FLOAT"))[1]
    expected = 0.5 * np.sin(2 * np.pi * 997 * np.arange(len(samples)) / 44_100)
    assert decibels(samples[4410:-4410, 0], expected[4410:-4410]) < -110


def test_mono_is_doubled() -> None:
    samples = decoded(file(MUSIC[:, :1], subtype="FLOAT"))[1]
    assert np.array_equal(samples, np.repeat(MUSIC[:, :1], 2, 1))


SIX = np.concatenate([MUSIC, music(SECONDS, seed=1), music(SECONDS, seed=2)], 1)


def test_more_channels_are_mixed_down_by_bs_775() -> None:
    song, samples = decoded(file(SIX, subtype="FLOAT"))
    centre, surrounds = SIX[:, 2:3], SIX[:, 4:6]
    assert decibels(samples, MUSIC + 0.5**0.5 * (centre + surrounds)) < -120
    assert song.warnings == ["it has 6 channels: they were mixed down"]


def test_of_more_channels_the_first_two_can_be_chosen() -> None:
    song, samples = decoded(file(SIX, subtype="FLOAT"), front_only=True)
    assert np.array_equal(samples, MUSIC)
    assert song.warnings == ["it has 6 channels: all but the first two were dropped"]


@pytest.mark.parametrize("length", [1, 2, 1000])
@pytest.mark.parametrize("rate", [8000, 44_100, 192_000])
def test_the_shortest_file_is_a_song(length: int, rate: int) -> None:
    song, _ = decoded(file(music(1, rate)[:length], rate))
    assert song.length == max(1, int(length * 44_100 / rate + 0.5))


@pytest.mark.parametrize(
    "original",
    [MUSIC, MUSIC * 0, MUSIC * 0 + 0.25, MUSIC[:1], MUSIC + 0.5],
    ids=["music", "silence", "constant", "one-sample", "offset"],
)
def test_the_level_is_the_one_that_demucs_measures(original: Samples) -> None:
    song, _ = decoded(file(original, subtype="FLOAT"))
    mono = original.astype(np.float64).mean(1)
    assert song.audio.mean == pytest.approx(mono.mean(), abs=1e-9)
    deviation = mono.std(ddof=1) if len(mono) > 1 else 0
    assert song.normalization.divisor == pytest.approx(deviation + 1e-8, rel=1e-6, abs=1e-9)


def test_a_normalized_and_denormalized_song_is_the_song_itself() -> None:
    with opened(file(MUSIC, subtype="FLOAT")) as song:
        block = song.normalized(0).read(-5, song.length + 7)
    assert not block[:, :5].any()
    assert not block[:, -7:].any()
    assert decibels(song.normalization.denormalize(block[:, 5:-7]), MUSIC.T) < -120


NOISE = np.random.default_rng(1).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
WAV, FLAC = file(MUSIC), file(MUSIC, kind="FLAC")
MP3, M4A = encoded(MUSIC, 44_100, "mp3", "libmp3lame"), encoded(MUSIC, 44_100, "ipod", "aac")


@pytest.mark.parametrize(
    ("data", "kind", "detail"),
    [
        (b"", "empty", "0 bytes"),
        (file(MUSIC[:0]), "empty", "no samples"),
        (
            b"a text that somebody named song.mp3\n" * 500,
            "not-audio",
            "MP3, WAV, Wave64, FLAC, MP4",
        ),
        (NOISE, "not-audio", "MP3, WAV"),
        (b"#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", "not-audio", ""),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "not-audio", ""),
        (WAV[: len(WAV) // 2], "truncated", "ends after 1.5 s of 3.0 s"),
        (FLAC[: len(FLAC) // 2], "truncated", "of 3.0 s"),
        (MP3[: len(MP3) // 2], "truncated", "s of 3.0 s"),
        (M4A[: len(M4A) // 2], "truncated", "without its index"),
        (FLAC[:200], "corrupt", ""),
        (FLAC[:9000] + NOISE[: len(FLAC) - 9000], "corrupt", ""),
        (WAV, "too-long", "longer than 2 s"),
    ],
    ids=[
        *("nothing", "no-samples", "text", "noise", "playlist", "concat"),
        *("wav", "flac", "mp3", "m4a", "header", "damaged", "long"),
    ],
)
def test_a_file_that_is_no_song_is_rejected(data: bytes, kind: str, detail: str) -> None:
    with pytest.raises(Rejected) as raised:
        decoded(data, max_seconds=2 if kind == "too-long" else 60)
    assert raised.value.kind == kind
    assert detail in raised.value.detail


@pytest.mark.parametrize("unknown", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_that_was_streamed_is_decoded_to_its_end(unknown: int) -> None:
    at = WAV.index(b"data") + 4
    streamed = WAV[:at] + unknown.to_bytes(4, "little") + WAV[at + 4 :]
    assert decoded(streamed)[0].length == len(MUSIC)


@pytest.mark.parametrize(
    "data",
    [
        encoded(MUSIC, 44_100, "adts", "aac"),
        file(MUSIC, kind="OGG", subtype="VORBIS"),
        encoded(music(SECONDS, 48_000), 48_000, "ogg", "libopus"),
    ],
    ids=["aac", "vorbis", "opus"],
)
def test_a_truncated_file_without_a_declared_duration_is_decoded(data: bytes) -> None:
    assert 0.3 < decoded(data[: len(data) // 2])[0].seconds / SECONDS < 0.7


def test_padding_does_not_make_a_song_too_long() -> None:
    assert decoded(encoded(MUSIC, 44_100, "adts", "aac"), max_seconds=3)[0].seconds > 3


def test_a_header_with_a_wrong_size_does_not_make_a_song_too_long() -> None:
    at = WAV.index(b"data") + 4
    short = WAV[:at] + (1000).to_bytes(4, "little") + WAV[at + 4 :]
    with pytest.raises(Rejected, match="longer than 1 s"):
        decoded(short, max_seconds=1)


def test_audio_behind_the_size_that_a_wav_announces_is_read() -> None:
    at = WAV.index(b"data") + 4
    song, samples = decoded(WAV[:at] + (1000).to_bytes(4, "little") + WAV[at + 4 :])
    assert np.array_equal(samples, decoded(WAV)[1])
    assert "the header announces 1000 bytes of audio" in song.warnings[0]


def test_a_chained_stream_that_changes_its_rate_is_one_song() -> None:
    first, second = (encoded(music(2, rate), rate, "adts", "aac") for rate in (44_100, 22_050))
    song, _ = decoded(first + second)
    assert song.seconds == pytest.approx(4, abs=0.2)


def children() -> list[int]:
    """Return the process ids of the children that decode for this process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and b"start_decoder" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def test_an_exception_of_the_callback_ends_the_child() -> None:
    def interrupt(share: float) -> None:
        raise InterruptedError

    def decode_interrupted(source: BinaryIO) -> None:
        with decoder.decode(source, 60, interrupt):
            raise AssertionError("the context was entered")

    with tempfile.TemporaryFile() as source:
        source.write(WAV)
        source.seek(0)
        with pytest.raises(InterruptedError):
            decode_interrupted(source)
    assert children() == []


LONG = file(music(30))  # more than what the child has ready


def read_whole(song: DecodedSong) -> None:
    reader = song.normalized(0)
    for start in range(0, song.length, 44_100):
        reader.read(start, start + 44_100)


def test_leaving_the_context_ends_the_child() -> None:
    with opened(LONG) as song:
        song.normalized(0).read(0, 1000)
        assert len(children()) == 1
    assert children() == []


def shorten(path: Path) -> None:
    os.truncate(path, len(LONG) // 2)


def kill(_: Path) -> None:
    os.kill(children()[0], signal.SIGKILL)


@pytest.mark.parametrize(("act", "kind"), [(shorten, "corrupt"), (kill, "no-memory")])
def test_a_song_that_changes_while_it_is_read(
    act: Callable[[Path], None], kind: str, tmp_path: Path
) -> None:
    path, at = tmp_path / "song.wav", LONG.index(b"data") + 4
    path.write_bytes(LONG[:at] + bytes(4) + LONG[at + 4 :])  # it does not say how long it is

    def read_while_it_changes() -> None:
        with (
            path.open("rb") as source,
            decoder.decode(source, 60, lambda share: None) as song,
        ):
            act(path)
            read_whole(song)

    with pytest.raises(Problem) as raised:
        read_while_it_changes()
    assert raised.value.kind == kind


def test_a_file_that_grows_while_it_is_decoded_is_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    at = LONG.index(b"data") + 4
    path.write_bytes(LONG[:at] + bytes(4) + LONG[at + 4 :])  # it does not say how long it is
    with path.open("rb") as source, decoder.decode(source, 60, lambda share: None) as song:
        with path.open("ab") as longer:
            longer.write(LONG)
        read_whole(song)
        assert song.length == len(music(30))
