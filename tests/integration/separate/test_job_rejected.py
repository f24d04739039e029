"""Songs that cannot be separated: it is told once, on a real store and a real bus."""

from dataclasses import replace

import pytest

from functions.separate.job_runner import run_job
from tests.integration.separate import sounds
from tests.integration.separate.asked import later

SONG = sounds.file(sounds.music(1))


@pytest.mark.parametrize(
    ("data", "options", "kind"),
    [
        (b"a text\n" * 100, {}, "not-audio"),
        (b"", {}, "empty"),
        (SONG[: len(SONG) // 3], {}, "truncated"),
        (sounds.file(sounds.music(61)[:, :1], 44_100), {}, "too-long"),
        (SONG, {"format": "ogg"}, "bad-option"),
        (SONG, {"two_stems": "piano"}, "bad-option"),
        (SONG, {"segment": "30"}, "bad-option"),
        (SONG, {"model": "unheard-of"}, "bad-option"),
    ],
    ids=["text", "empty", "cut", "long", "format", "stems", "segment", "model"],
)
def test_what_cannot_be_separated_is_told_once(
    put, context, beside, failure, record, data, options, kind
):
    job = put(data, **options)
    run_job(job, context)
    told = failure(job)
    assert told["type"] == f"urn:micro-demucs:problem:{kind}"
    assert (told["status"], told["job"]) == (422, job.id)
    assert told["song"]["key"] == job.song.key
    assert (record(job).state, record(job).problem["type"]) == ("failed", told["type"])
    before = beside(job)
    run_job(job, context)
    assert beside(job) == before
    assert list(before) == ["failure.json"]


def test_too_many_bytes_are_refused(put, song, context, failure):
    job = put(song)
    run_job(job, replace(context, max_song_bytes=1000))
    assert "more than 1000 bytes" in failure(job)["detail"]


def test_a_key_that_leaves_no_room_is_refused(put, context, failure):
    job = put(SONG, "/".join(["k" * 200] * 4 + ["k" * 160]))
    run_job(job, context)
    assert "1000 are accepted" in failure(job)["detail"]


def test_the_same_bytes_put_again_after_a_failure_are_tried_again(put, context, failure):
    job = put(b"a text")
    run_job(job, context)
    first = failure(job)
    run_job(later(job), context)
    assert failure(job)["finished"] > first["finished"]
