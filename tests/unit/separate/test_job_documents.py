"""The manifest and the failure of a job."""

from dataclasses import replace

from msgspec import UNSET

from functions.separate.engine.locate import LocatedModel
from functions.separate.job import Job
from functions.separate.job_documents import AudioMembers, StoredStems, failure_of, manifest_of
from microdemucs.events import ObjectCreated
from microdemucs.jobs import JobRecord, job_id
from microdemucs.manifest import Manifest, StemEntry
from microdemucs.problems import Rejected, is_after, now
from microdemucs.result_check import read_result

SONG = ObjectCreated("songs", "a song.mp3", 7, "e" * 32, time="2026-01-23T00:00:00.000Z")
JOB = Job(job_id(SONG), SONG, "a" * 32, "c" * 32)
RECORD = JobRecord.of(SONG, trace="a" * 32, warnings=["a warning"])
AUDIO = AudioMembers(1.5, "flac", 44_100, 2, UNSET, UNSET)
STEM = StemEntry("drums", "a song.mp3/drums.mp3", 5, "audio/mpeg")
REJECTED = Rejected("empty", "The song is empty")


def manifest(job: Job = JOB) -> Manifest:
    model = LocatedModel("htdemucs_tiny", None)
    return manifest_of(job, RECORD, "f" * 64, StoredStems([STEM], AUDIO), model, {"decoding": 0.5})


def test_a_manifest_describes_the_job_the_song_and_the_model() -> None:
    found = manifest()
    assert (found.job, found.trace, found.created) == (JOB.id, "a" * 32, SONG.time)
    assert (found.song.key, found.song.sha256, found.song.seconds) == (SONG.key, "f" * 64, 1.5)
    assert (found.stems, found.timings, found.warnings) == (
        [STEM],
        {"decoding": 0.5},
        ["a warning"],
    )
    assert "limited quality" in str(found.model.note)


def test_readers_believe_what_is_written() -> None:
    found = manifest()
    assert read_result("a song.mp3/manifest.json", found.write()) == found
    failure = failure_of(JOB, RECORD, REJECTED)
    assert read_result("a song.mp3/failure.json", failure.write()) == failure


def test_no_document_shows_the_callback() -> None:
    for document in (manifest(), failure_of(JOB, RECORD, REJECTED)):
        assert JOB.callback.encode() not in document.write()


def test_a_failure_says_why() -> None:
    assert failure_of(JOB, RECORD, REJECTED).problem == REJECTED.body()


def test_a_result_is_not_older_than_its_event_although_the_stores_clock_is_ahead() -> None:
    ahead = replace(JOB, song=replace(SONG, time="2999-01-01T00:00:00.000Z"))
    assert manifest(ahead).finished == "2999-01-01T00:00:00.000Z"
    assert not is_after(manifest().finished, now())
