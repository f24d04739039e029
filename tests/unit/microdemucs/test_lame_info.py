"""The Info frame; that players read it is tested with the encoder."""

import pytest

from microdemucs.lame_info import count_frames, frame_rate, info_frame, read_length
from microdemucs.mpeg_audio import read_mpeg_header

CBR_128 = bytes.fromhex("fffb9264")


def test_it_is_a_frame_of_the_same_bit_rate_without_padding() -> None:
    frame = info_frame(CBR_128, 100, 41_796, 114_000)
    assert frame[36:40] == b"Info"
    assert len(frame) == 417
    header = read_mpeg_header(frame)
    assert header
    assert header.size == 417


def test_it_tells_delay_and_padding() -> None:
    frame = info_frame(CBR_128, 100, 41_796, 114_000)
    packed = int.from_bytes(frame[36 + 120 + 21 : 36 + 120 + 24], "big")
    assert divmod(packed, 4096) == (576, 100 * 1152 - 576 - 114_000)


@pytest.mark.parametrize(
    ("header", "size"),
    [("fffb9064", 417), ("fff34864", 180), ("fff36064", 182), ("fff38464", 192), ("fffb6864", 360)],
    ids=["128-44100", "32-16000", "48-22050", "64-24000", "80-32000"],
)
def test_it_has_a_bit_rate_at_which_it_fits(header: str, size: int) -> None:
    frame = info_frame(bytes.fromhex(header), 100, 40_000, 114_000)
    read = read_mpeg_header(frame)
    given = read_mpeg_header(bytes.fromhex(header))
    assert read
    assert given
    assert (len(frame), read.size, read.stream) == (size, size, given.stream)
    assert b"Info" in frame[:40]


@pytest.mark.parametrize(
    ("header", "rate"), [("fffb9064", 44_100), ("fff34864", 16_000), ("fffb6864", 32_000)]
)
def test_the_rate_is_that_of_the_frames(header: str, rate: int) -> None:
    assert frame_rate(bytes.fromhex(header)) == rate


def test_a_header_of_another_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="fffd9064 is no header"):
        frame_rate(bytes.fromhex("fffd9064"))


def test_frames_are_counted_by_the_size() -> None:
    assert count_frames(CBR_128, 417 * 7 + 418 * 93) == 100


@pytest.mark.parametrize(
    ("header", "frames", "length"),
    [("fffb9264", 100, 114_000), ("fffbe064", 100, 114_000), ("fff38464", 110, 62_041)],
    ids=["128-44100", "320-44100", "64-24000"],
)
def test_the_length_is_read_again(header: str, frames: int, length: int) -> None:
    frame = info_frame(bytes.fromhex(header), frames, 80_000, 114_000)
    assert read_length(frame) == length


def test_a_file_without_an_info_frame_says_no_length() -> None:
    frame = info_frame(CBR_128, 100, 41_796, 114_000)
    for other in (b"", CBR_128, CBR_128 + bytes(400), frame[:100], b"RIFF" + bytes(400)):
        assert read_length(other) is None
