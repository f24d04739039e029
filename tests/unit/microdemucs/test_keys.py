import pytest

from microdemucs.keys import LONGEST_KEY, LONGEST_SONG_KEY, fits, hash_in_key, is_reserved
from microdemucs.manifest import failure_key, manifest_key


@pytest.mark.parametrize(
    ("key", "expected"),
    [("k" * LONGEST_KEY, True), ("k" * (LONGEST_KEY + 1), False), ("ä" * 512, True)],
)
def test_a_key_fits_if_s3_accepts_its_bytes(key: str, expected: bool) -> None:
    assert fits(key) == expected


def test_results_fit_beside_a_song_with_the_longest_key() -> None:
    song = "k" * LONGEST_SONG_KEY
    assert fits(manifest_key(song))
    assert fits(failure_key(song))
    assert fits(f"{song}/no_vocals.flac")


@pytest.mark.parametrize("key", ["a.mp3/.live/t.ogg", "a/b/.live/c", ".ranges/j/a.mp3"])
def test_keys_among_previews_and_ranges_belong_to_the_program(key: str) -> None:
    assert is_reserved(key)


@pytest.mark.parametrize(
    "key", ["a.mp3", ".live/a.mp3", "a.live/b.mp3", "a/.ranges/b.mp3", "x.live"]
)
def test_other_keys_do_not(key: str) -> None:
    assert not is_reserved(key)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("0" * 64 + ".mp3", "0" * 64),
        ("0" * 63 + ".mp3", ""),
        ("dir/" + "0" * 64 + ".mp3", ""),
        ("0" * 64 + ".wav", ""),
        ("0" * 64 + ".mp3\n", ""),
    ],
)
def test_the_key_of_a_song_that_the_rest_api_stored_holds_its_hash(key: str, expected: str) -> None:
    assert hash_in_key(key) == expected
