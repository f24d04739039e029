from functions.separate.audio.flac_frames import split_frames
from tests.integration.separate.sounds import file, music

FLAC = file(music(1), kind="FLAC")


def test_a_stretch_is_split_into_its_frames() -> None:
    frames = list(split_frames(FLAC))
    assert sum(samples for _, samples in frames) == 44_100
    assert [samples for _, samples in frames[:-1]] == [4096] * 10
    assert FLAC.endswith(b"".join(data for data, _ in frames))


def test_a_header_with_a_wrong_checksum_begins_no_frame() -> None:
    first, *_ = split_frames(FLAC)
    at = FLAC.index(first[0])
    damaged = FLAC[: at + 4] + b"\x7f" + FLAC[at + 5 :]
    assert sum(samples for _, samples in split_frames(damaged)) == 44_100 - 4096


def test_noise_has_no_frames() -> None:
    assert list(split_frames(b"\xff\xf8" * 9_999)) == []
    assert list(split_frames(b"")) == []
