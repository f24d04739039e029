from functions.upload.jobs import content_disposition, unknown_job


def test_the_file_name_of_a_stem_is_song_and_stem() -> None:
    assert content_disposition("attachment", "demo/my song.mp3", "drums.flac") == (
        "attachment; filename=\"my song - drums.flac\"; filename*=UTF-8''my%20song%20-%20drums.flac"
    )


def test_characters_that_a_plain_file_name_cannot_have_are_replaced() -> None:
    disposition = content_disposition("inline", 'a/"sö\\ng"\n.mp3', "bass.mp3")
    assert disposition.startswith('inline; filename="_s__ng__ - bass.mp3"; ')
    assert "\n" not in disposition


def test_an_unknown_job_is_named_shortened() -> None:
    detail = unknown_job("x" * 1000).detail
    assert detail.startswith("no job, upload or song is named 'xxx")
    assert len(detail) < 250
