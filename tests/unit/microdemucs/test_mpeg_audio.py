import pytest

from microdemucs.mpeg_audio import read_mpeg_header


@pytest.mark.parametrize(
    ("header", "size", "stream"),
    [
        ("fffb9064", 417, (3, 3, 44_100)),
        ("fffb9264", 418, (3, 3, 44_100)),
        ("fff38464", 192, (2, 3, 24_000)),
        ("fffd9004", 522, (3, 2, 44_100)),
        ("ffff9004", 312, (3, 1, 44_100)),
    ],
)
def test_a_header_tells_the_size_of_a_frame(
    header: str, size: int, stream: tuple[int, int, int]
) -> None:
    frame = read_mpeg_header(bytes.fromhex(header))
    assert frame
    assert (frame.size, frame.stream) == (size, stream)


@pytest.mark.parametrize("header", ["", "fffb", "fffb0064", "fffbf064", "fffb9c64", "ffeb9064"])
def test_other_bytes_are_no_header(header: str) -> None:
    assert read_mpeg_header(bytes.fromhex(header)) is None
