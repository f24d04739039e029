"""The objects of a job in a real output bucket."""

import io
from dataclasses import replace

import msgspec
import pytest
from minio import Minio

from functions.separate.job import Job
from functions.separate.lease import Lease
from functions.separate.output.fence import SongFence
from functions.separate.output.stem_store import StemStore
from microdemucs.bucket import Bucket
from microdemucs.bus import Bus
from microdemucs.events import ObjectCreated
from microdemucs.manifest import (
    CoverEntry,
    Failure,
    Manifest,
    ModelInfo,
    PeaksEntry,
    SeparatedSong,
    StemEntry,
)
from microdemucs.peaks import PEAKS_TYPE
from microdemucs.problems import Cancelled
from microdemucs.store import ObjectChanged
from tests.integration.separate.output.conftest import ReadBytes

FINISHED = "2026-11-23T00:00:05.000Z"


@pytest.fixture
def job(song_key: str) -> Job:
    song = ObjectCreated("songs", song_key, 1, "etag", time="2026-11-23T00:00:00Z")
    return Job("0" * 32, song, "", "")


@pytest.fixture
def drums(root: Minio, song_key: str) -> StemEntry:
    """A stem that is in the bucket."""
    key = f"{song_key}/drums.mp3"
    root.put_object("stems", key, io.BytesIO(b"drums"), 5, "audio/mpeg")
    return StemEntry("drums", key, 5, "audio/mpeg")


def manifest_of(job: Job, *stems: StemEntry, job_id: str = "") -> Manifest:
    return Manifest(
        job=job_id or job.id,
        song=SeparatedSong(
            bucket="songs", key=job.song.key, etag="etag", sha256="1" * 64, seconds=1.0
        ),
        options={},
        stems=[*stems],
        model=ModelInfo("tiny"),
        finished=FINISHED,
    )


def with_peaks(manifest: Manifest, stem_store: StemStore) -> Manifest:
    """Return the manifest with the entry of peaks, which are in the bucket."""
    key = stem_store.write_peaks(b"peaks")
    return msgspec.structs.replace(manifest, peaks=PeaksEntry(key, 5, PEAKS_TYPE, 25, 1))


def failure_of(job: Job) -> Failure:
    return Failure(
        problem={"type": "urn:micro-demucs:problem:empty", "title": "Empty", "status": 422},
        job=job.id,
        song=job.stored_song(),
        options={},
        finished=FINISHED,
    )


def test_a_song_without_results(stem_store: StemStore) -> None:
    assert stem_store.read_own_manifest() is None
    assert stem_store.read_own_failure() is None


def test_a_finished_jobs_manifest_is_its_own(
    stem_store: StemStore, job: Job, drums: StemEntry
) -> None:
    manifest = manifest_of(job, drums)
    stem_store.finish(manifest)
    assert stem_store.read_own_manifest() == manifest


def test_the_manifest_of_another_job_is_not_its_own(
    stem_store: StemStore, job: Job, drums: StemEntry, song_key: str
) -> None:
    stem_store.finish(manifest_of(job, drums, job_id="f" * 32))
    assert stem_store.read_own_manifest() is None
    assert stem_store.read_manifest(song_key)


def test_a_manifest_of_which_a_stem_is_missing_does_not_count(
    stem_store: StemStore, job: Job, drums: StemEntry, root: Minio
) -> None:
    stem_store.finish(manifest_of(job, drums))
    root.remove_object("stems", drums.key)
    assert stem_store.read_own_manifest() is None


def test_a_manifest_of_which_a_stem_has_another_size_does_not_count(
    stem_store: StemStore, job: Job, drums: StemEntry, root: Minio
) -> None:
    stem_store.finish(manifest_of(job, drums))
    root.put_object("stems", drums.key, io.BytesIO(b"other drums"), 11)
    assert stem_store.read_own_manifest() is None


def test_finishing_removes_what_an_earlier_job_left(
    stem_store: StemStore, job: Job, drums: StemEntry, root: Minio, stored: ReadBytes
) -> None:
    stem_store.fail(failure_of(job))
    root.put_object("stems", drums.key, io.BytesIO(b"drums"), 5)
    stem_store.finish(manifest_of(job, drums))
    assert set(stored()) == {"drums.mp3", "manifest.json"}
    bass = replace_name(drums, "bass")
    root.put_object("stems", bass.key, io.BytesIO(b"bass!"), 5)
    stem_store.finish(manifest_of(job, bass))
    assert set(stored()) == {"bass.mp3", "manifest.json"}


def test_a_manifest_whose_peaks_are_missing_does_not_count(
    stem_store: StemStore, job: Job, drums: StemEntry, root: Minio
) -> None:
    stem_store.finish(with_peaks(manifest_of(job, drums), stem_store))
    assert stem_store.read_own_manifest()
    root.remove_object("stems", f"{job.song.key}/peaks.bin")
    assert stem_store.read_own_manifest() is None


def test_finishing_keeps_the_jobs_own_peaks_and_removes_those_of_an_earlier_job(
    stem_store: StemStore, job: Job, drums: StemEntry, stored: ReadBytes
) -> None:
    stem_store.finish(with_peaks(manifest_of(job, drums), stem_store))
    assert set(stored()) == {"drums.mp3", "peaks.bin", "manifest.json"}
    stem_store.finish(manifest_of(job, drums))
    assert set(stored()) == {"drums.mp3", "manifest.json"}


def test_a_failure_removes_peaks(
    stem_store: StemStore, job: Job, drums: StemEntry, stored: ReadBytes
) -> None:
    stem_store.finish(with_peaks(manifest_of(job, drums), stem_store))
    stem_store.fail(failure_of(job))
    assert set(stored()) == {"failure.json"}


def test_peaks_have_their_content_type(stem_store: StemStore, job: Job, stems: Bucket) -> None:
    assert stems.stat(stem_store.write_peaks(b"peaks")).content_type == "application/octet-stream"


def replace_name(stem: StemEntry, name: str) -> StemEntry:
    return StemEntry(name, stem.key.replace(stem.name, name), stem.size, stem.content_type)


def test_finishing_removes_no_stems_beside_another_song(
    stem_store: StemStore, job: Job, drums: StemEntry, stems: Bucket, song_key: str
) -> None:
    stems.write(f"{song_key}-other/drums.mp3", b"drums", "audio/mpeg")
    foreign = StemEntry("drums", f"{song_key}-other/drums.mp3", 5, "audio/mpeg")
    stem_store.finish(manifest_of(job, foreign))
    stem_store.finish(manifest_of(job, drums))
    assert stems.read(foreign.key) == b"drums"


def test_a_failure_replaces_the_results_of_an_earlier_job(
    stem_store: StemStore, job: Job, drums: StemEntry, stored: ReadBytes
) -> None:
    stem_store.finish(manifest_of(job, drums))
    stem_store.fail(failure_of(job))
    assert set(stored()) == {"failure.json"}
    assert stem_store.read_own_failure() == failure_of(job)


@pytest.fixture
def fenced_store(stems: Bucket, bus: Bus, job: Job) -> StemStore:
    """The store of a process that has the song's lease, and took it when nothing was there."""
    lease = Lease(bus, job.song.key, "we")
    lease.take()
    return StemStore(stems, job, SongFence(lease, stems, job.song.key))


def test_the_manifest_of_a_faster_run_of_the_same_job_stays(
    fenced_store: StemStore, stem_store: StemStore, job: Job, root: Minio, song_key: str
) -> None:
    key = f"{song_key}/drums.mp3"
    root.put_object("stems", key, io.BytesIO(b"drums"), 5, "audio/mpeg")
    theirs = manifest_of(job, StemEntry("drums", key, 5, "audio/mpeg"))
    stem_store.finish(theirs)
    ours = msgspec.structs.replace(theirs, finished="2026-11-23T00:00:09.000Z")
    assert fenced_store.finish(ours) == theirs == stem_store.read_own_manifest()


def test_the_manifest_of_another_job_that_came_between_is_replaced(
    fenced_store: StemStore, stem_store: StemStore, job: Job, root: Minio, song_key: str
) -> None:
    key = f"{song_key}/drums.mp3"
    root.put_object("stems", key, io.BytesIO(b"drums"), 5, "audio/mpeg")
    stem = StemEntry("drums", key, 5, "audio/mpeg")
    stem_store.finish(manifest_of(job, stem, job_id="2" * 32))
    ours = manifest_of(job, stem)
    assert fenced_store.finish(ours) == ours == stem_store.read_own_manifest()


def test_the_failure_of_a_faster_run_of_the_same_job_stays(
    fenced_store: StemStore, stem_store: StemStore, job: Job
) -> None:
    theirs = failure_of(job)
    stem_store.fail(theirs)
    ours = msgspec.structs.replace(theirs, finished="2026-11-23T00:00:09.000Z")
    assert fenced_store.fail(ours) == theirs == stem_store.read_own_failure()


def test_a_failure_from_before_the_song_was_put_again_does_not_count(
    stem_store: StemStore, job: Job, stems: Bucket
) -> None:
    stem_store.fail(failure_of(job))
    put_again = replace(job, song=replace(job.song, time="2026-11-23T00:00:06Z"))
    assert StemStore(stems, put_again).read_own_failure() is None


def test_a_cancelled_job_is_not_the_outcome_of_a_song_that_was_put_after_the_cancel(
    stem_store: StemStore, job: Job, stems: Bucket
) -> None:
    cancelled = Cancelled("2026-11-23T00:00:01Z").body()
    failure = msgspec.structs.replace(failure_of(job), problem=cancelled)
    stem_store.fail(failure)
    assert stem_store.read_own_failure() == failure
    put_again = replace(job, song=replace(job.song, time="2026-11-23T00:00:02Z"))
    assert StemStore(stems, put_again).read_own_failure() is None


def test_stems_of_another_song_are_copied_with_new_keys(
    stems: Bucket, job: Job, drums: StemEntry
) -> None:
    other = replace(job, song=replace(job.song, key=f"{job.song.key}-other"))
    [copy] = StemStore(stems, other).copy([drums])
    assert copy == StemEntry("drums", f"{job.song.key}-other/drums.mp3", 5, "audio/mpeg")
    assert stems.read(copy.key) == b"drums"


def test_peaks_of_another_song_are_copied_with_the_stems(
    stem_store: StemStore, stems: Bucket, job: Job, drums: StemEntry
) -> None:
    other = replace(job, song=replace(job.song, key=f"{job.song.key}-other"))
    manifest = with_peaks(manifest_of(job, drums), stem_store)
    peaks = StemStore(stems, other).copy_unchanged(manifest.peaks)
    assert peaks == PeaksEntry(f"{other.song.key}/peaks.bin", 5, PEAKS_TYPE, 25, 1)
    assert stems.read(f"{other.song.key}/peaks.bin") == b"peaks"


@pytest.mark.parametrize(
    ("data", "name", "content_type"),
    [(b"\xff\xd8\xffa", "cover.jpg", "image/jpeg"), (b"\x89PNGa", "cover.png", "image/png")],
)
def test_a_cover_shares_the_fate_of_the_stems(
    stem_store: StemStore,
    stems: Bucket,
    job: Job,
    drums: StemEntry,
    stored: ReadBytes,
    data: bytes,
    name: str,
    content_type: str,
) -> None:
    cover = stem_store.write_cover(data)
    assert cover == CoverEntry(f"{job.song.key}/{name}", len(data), content_type)
    assert stems.stat(cover.key).content_type == content_type
    manifest = manifest_of(job, drums)
    song = msgspec.structs.replace(manifest.song, cover=cover)
    manifest = msgspec.structs.replace(manifest, song=song)
    stem_store.finish(manifest)
    assert stored()[name] == data
    other = replace(job, song=replace(job.song, key=f"{job.song.key}-other"))
    copy = StemStore(stems, other).copy_unchanged(cover)
    assert copy == CoverEntry(f"{other.song.key}/{name}", len(data), content_type)
    stem_store.fail(failure_of(job))
    assert set(stored()) == {"failure.json"}


def test_a_stem_that_is_gone_cannot_be_copied(stems: Bucket, job: Job, drums: StemEntry) -> None:
    stems.remove(drums.key)
    other = replace(job, song=replace(job.song, key=f"{job.song.key}-other"))
    with pytest.raises(ObjectChanged):
        StemStore(stems, other).copy([drums])
