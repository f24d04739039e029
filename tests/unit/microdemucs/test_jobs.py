from dataclasses import replace

import pytest

from microdemucs.events import ObjectCreated
from microdemucs.jobs import (
    JobRecord,
    JobState,
    job_id,
    peaks_preview_key,
    peaks_preview_prefix,
)
from microdemucs.keys import LONGEST_SONG_KEY, fits
from microdemucs.peaks import peaks_key

SONG = ObjectCreated("songs", "a.mp3", 10, "e1", time="2026-11-23T00:00:00Z")


def test_the_same_song_and_options_are_the_same_job() -> None:
    later = replace(SONG, time="2027-01-01T00:00:00Z", metadata={"format": "mp3", "x": "y"})
    assert job_id(later) == job_id(SONG)
    assert len(job_id(SONG)) == 32


@pytest.mark.parametrize(
    "other",
    [
        replace(SONG, bucket="b"),
        replace(SONG, key="b.mp3"),
        replace(SONG, etag="e2"),
        replace(SONG, version="v1"),
        replace(SONG, metadata={"format": "flac"}),
        replace(SONG, metadata={"format": "unheard-of"}),
    ],
)
def test_another_song_version_or_option_is_another_job(other: ObjectCreated) -> None:
    assert job_id(other) != job_id(SONG)


def test_in_a_versioned_bucket_the_version_counts_not_the_etag() -> None:
    versioned = replace(SONG, version="v1")
    assert job_id(replace(versioned, etag="e2")) == job_id(versioned)


def test_a_record_survives_writing_and_reading() -> None:
    record = JobRecord.of(replace(SONG, metadata={"format": "flac"}), trace="t")
    assert JobRecord.read(record.write()) == record
    assert record.options == {"format": "flac"}


def test_a_record_of_a_later_version_can_be_read() -> None:
    assert JobRecord.read(b'{"id":"1","bucket":"b","key":"k","etag":"e","new":1}').id == "1"


@pytest.mark.parametrize(
    ("state", "is_restarted"),
    [
        (JobState.WAITING, False),
        (JobState.RUNNING, False),
        (JobState.DONE, False),
        (JobState.FAILED, True),
        (JobState.CANCELLED, True),
        (JobState.SUPERSEDED, True),
    ],
)
def test_a_song_sent_after_its_job_ended_without_stems_starts_it_again(
    state: JobState, is_restarted: bool
) -> None:
    record = JobRecord("j", "songs", "a.mp3", "e", state=state, finished="2026-11-23T00:00:00Z")
    assert record.is_restarted_by("2026-11-23T00:00:01Z") == is_restarted
    assert not record.is_restarted_by("2026-11-22T23:59:59Z")


def test_a_done_job_whose_stems_were_removed_is_started_again_by_a_later_event() -> None:
    record = JobRecord("j", "songs", "a.mp3", "e", state=JobState.DONE, stems=["drums.mp3"])
    record.remove_results("2026-11-23T00:00:00Z")
    assert (record.stems, record.removed) == ([], "2026-11-23T00:00:00Z")
    assert record.is_restarted_by("2026-11-23T00:00:01Z")
    assert not record.is_restarted_by("2026-11-22T23:59:59Z")


def test_the_names_of_peaks_fit_behind_the_longest_key_of_a_song() -> None:
    assert fits(peaks_preview_key("k" * LONGEST_SONG_KEY, 99_999_999))
    assert fits(peaks_key("k" * LONGEST_SONG_KEY))


def test_keys_of_previews_are_in_the_order_of_their_columns() -> None:
    keys = [peaks_preview_key("a.mp3", start) for start in (0, 500, 1000, 90_000, 2_160_000)]
    assert sorted(keys) == keys
    assert all(key.startswith(peaks_preview_prefix("a.mp3")) for key in keys)
