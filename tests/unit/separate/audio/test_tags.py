from functions.separate.audio.tags import read_tags


def test_the_bytes_of_a_tag_are_kept() -> None:
    assert read_tags({"TITLE": " Bj\xf6rk \n"}) == {"title": "Bj\xf6rk"}


def test_a_long_tag_is_cut() -> None:
    assert read_tags({"title": "x" * 9999}) == {"title": "x" * 2000}


def test_the_first_that_has_a_tag_counts() -> None:
    found = read_tags({"title": "", "genre": "pop"}, {"title": "a", "Artist": "b"}, {"title": "c"})
    assert found == {"title": "a", "artist": "b"}
