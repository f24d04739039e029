from microdemucs.audio_tags import AudioTags


def test_the_title_says_what_the_file_has_of_the_song() -> None:
    song = {"title": "A", "artist": "B", "track": "3/9", "date": "1999", "bpm": "90"}
    tags = AudioTags.of_song(song, "file", "vocals")
    assert tags == AudioTags("A (vocals)", "B", "", "3/9", "1999")


def test_the_whole_song_has_its_title() -> None:
    assert AudioTags.of_song({"title": "A"}, "file").title == "A"


def test_without_a_title_the_name_of_the_file_counts() -> None:
    assert AudioTags.of_song({}, "file", "no_vocals").title == "file (no_vocals)"


def test_texts_are_the_tags_that_are_not_empty() -> None:
    tags = AudioTags("A", "", "C", cover=b"\x89PNG")
    assert tags.texts == {"title": "A", "album": "C"}
