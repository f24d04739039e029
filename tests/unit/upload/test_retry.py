import pytest

from functions.upload.retry import song_of
from microdemucs.events import ObjectCreated
from microdemucs.jobs import JobRecord, job_id
from microdemucs.submitters import submitter_of

SUBMITTER = "0123456789abcdef"
FORM = f"form/{'ab' * 16}/my song.mp3"


def created(key: str = "a.mp3", **metadata: str) -> ObjectCreated:
    return ObjectCreated("songs", key, 1000, "e", "v1", "2026-01-01T00:00:00Z", "", metadata)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"two-stems": "vocals", "format": "flac", "bits": "24"},
        {"stems": "drums,bass", "allow-truncated": "true", "overlap": "0.5"},
        {"shifts": "many"},
        {"clip-mode": "none", "callback": "c"},
    ],
    ids=["none", "texts-and-numbers", "list-and-flag", "unreadable", "callback"],
)
def test_the_song_asks_for_the_same_job(metadata: dict[str, str]) -> None:
    record = JobRecord.of(created(**metadata))
    song = song_of(record, "2026-02-02T00:00:00Z")
    assert job_id(song) == record.id
    assert "callback" not in song.metadata
    assert song.time == "2026-02-02T00:00:00Z"


@pytest.mark.parametrize(
    ("key", "metadata"),
    [("dir/a.mp3", {}), ("a.mp3", {}), (FORM, {"submitter": SUBMITTER}), (FORM, {})],
)
def test_the_song_waits_in_the_same_submitters_queue(key: str, metadata: dict[str, str]) -> None:
    song = created(key, **metadata)
    again = song_of(JobRecord.of(song), song.time)
    assert submitter_of(again.key, again.metadata) == submitter_of(song.key, song.metadata)


@pytest.mark.parametrize("key", ["a.mp3", "notes.txt", "no suffix"])
def test_the_song_counts_as_one_whatever_its_suffix(key: str) -> None:
    assert song_of(JobRecord.of(created(key)), "").is_song
