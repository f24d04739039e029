import io

from functions.separate.audio.ogg_links import OggLinks, find_links
from tests.integration.separate.sounds import encoded, file, music

OGG = file(music(6), kind="OGG", subtype="VORBIS")
OPUS = encoded(music(3, 48_000), 48_000, "ogg", "libopus")


def links_of(data: bytes) -> OggLinks:
    found = find_links(io.BytesIO(data))
    assert found
    return found


def test_a_whole_file_is_one_link() -> None:
    assert links_of(OGG) == OggLinks([(0, len(OGG))], 0.0, False)


def test_a_chained_file_has_a_link_for_each_song() -> None:
    assert links_of(OGG + OPUS + OGG).links == [
        (0, len(OGG)),
        (len(OGG), len(OGG + OPUS)),
        (len(OGG + OPUS), len(OGG + OPUS + OGG)),
    ]


def test_a_cut_file_is_cut() -> None:
    assert links_of(OGG[:-1]).is_cut


def test_junk_at_the_end_is_left_out() -> None:
    assert links_of(OGG + b"OggS" + bytes(999)) == OggLinks([(0, len(OGG))], 0.0, False)


def test_a_damaged_page_is_missing() -> None:
    damaged = bytearray(OGG)
    damaged[len(OGG) // 2] ^= 1
    pages = OGG.count(b"OggS")
    assert links_of(bytes(damaged)).missing_share == 1 / pages


def test_other_files_have_no_links() -> None:
    assert find_links(io.BytesIO(b"OggS" * 9999)) is None
    assert find_links(io.BytesIO(b"")) is None


def test_pages_without_segments_are_passed() -> None:
    assert find_links(io.BytesIO((b"OggS" + bytes(23)) * 99_999)) is None
