"""The Info frame; that players read it is tested with the encoder."""

import pytest

from functions.separate.audio.frame_scan import read_mpeg_header
from functions.separate.audio.lame_info import can_have_info, count_frames, info_frame

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
    ("header", "possible"),
    [("fffb9064", True), ("fffbe064", True), ("fffb7844", False), ("fff38464", False), ("", False)],
)
def test_only_mpeg_1_at_44_100_hz_has_one(header: str, possible: bool) -> None:
    assert can_have_info(bytes.fromhex(header)) is possible


def test_frames_are_counted_by_the_size() -> None:
    assert count_frames(CBR_128, 417 * 7 + 418 * 93) == 100
