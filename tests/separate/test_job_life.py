"""One job from its event to its mark, on a real store and a real bus."""

import errno
import io
import json
import threading
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from demucs.api import Separator
from demucs.hf import load_safetensors_model
from demucs.states import get_state
from minio import Minio
from minio.versioningconfig import ENABLED, VersioningConfig

from functions.separate.job import Job
from functions.separate.lease import Lease
from functions.separate.life import live
from functions.separate.report import Report
from microdemucs import room
from microdemucs.bus import CANCELS, JOBS, LEASES, Bus
from microdemucs.events import ObjectCreated
from microdemucs.jobs import JobRecord, job_id, lease_key
from microdemucs.problems import Later
from microdemucs.store import read_json
from tests.separate import sounds

MIX = sounds.music(1)
SONG = sounds.file(MIX)
TINY = Path(__file__).parents[2] / "models" / "htdemucs_tiny" / "htdemucs_tiny.safetensors"
Put = Callable[..., Job]


@pytest.fixture
def put(root: Minio, request: pytest.FixtureRequest) -> Put:
    """Put a song under the test's own name, and give the job that its event asks for."""

    def put(data: bytes, key: str = "song.wav", bucket: str = "songs", **metadata: str) -> Job:
        key = f"{request.node.name}/{key}"
        metadata = {name.replace("_", "-"): value for name, value in metadata.items()}
        answer = root.put_object(bucket, key, io.BytesIO(data), len(data), metadata=metadata)
        there = root.stat_object(bucket, key)
        song = ObjectCreated(
            bucket,
            key,
            len(data),
            answer.etag,
            version=answer.version_id or "",
            time=there.last_modified.isoformat(),
            metadata=metadata,
        )
        return Job(job_id(song), song, "0" * 31 + "1", metadata.get("callback", ""))

    return put


def unlike(request: pytest.FixtureRequest, kind: str = "WAV") -> bytes:
    """A song that no other test has: what was made of it is never there before."""
    return sounds.file(
        sounds.music(1, seed=zlib.crc32(request.node.name.encode()) % 997), kind=kind
    )


@pytest.fixture
def song(request: pytest.FixtureRequest) -> bytes:
    return unlike(request)


@pytest.fixture
def beside(root: Minio) -> Callable[[Job], dict[str, str]]:
    """What lies beside a job's song: name → eTag."""

    def beside(job: Job) -> dict[str, str]:
        prefix = f"{job.song.key}/"
        found = root.list_objects("stems", prefix, recursive=True)
        return {one.object_name.removeprefix(prefix): one.etag for one in found}

    return beside


@pytest.fixture
def manifest(root: Minio) -> Callable[[Job], dict]:
    return lambda job: read_json(root, "stems", f"{job.song.key}/manifest.json")


@pytest.fixture
def failure(root: Minio) -> Callable[[Job], dict]:
    return lambda job: read_json(root, "stems", f"{job.song.key}/failure.json")


@pytest.fixture
def record(bus: Bus) -> Callable[[Job], JobRecord]:
    return lambda job: JobRecord.read(bus.get(JOBS, job.id).value)


def later(job: Job) -> Job:
    """The same song, put again an hour later."""
    time = datetime.fromisoformat(job.song.time) + timedelta(hours=1)
    return replace(job, song=replace(job.song, time=time.isoformat()))


def at(monkeypatch: pytest.MonkeyPatch, phase: str, act: Callable[[Report], None]) -> None:
    """Have `act` happen once, as the phase begins."""
    check, done = Report.check, []

    def acting(report: Report) -> None:
        if report.record.phase == phase and not done:
            done.append(phase)
            act(report)
        check(report)

    monkeypatch.setattr(Report, "check", acting)


def test_a_song_becomes_stems_and_a_manifest(put, song, tools, root, manifest, record):
    job = put(song, callback="c" * 32)
    live(job, tools)
    told = manifest(job)
    assert [stem["name"] for stem in told["stems"]] == ["drums", "bass", "other", "vocals"]
    for stem in told["stems"]:
        answer = root.get_object("stems", stem["key"])
        data = answer.read()
        assert (len(data), answer.headers["Content-Type"]) == (stem["size"], "audio/mpeg")
        assert soundfile.info(io.BytesIO(data)).duration == pytest.approx(1, abs=0.1)
    assert (told["job"], told["trace"], told["callback"]) == (job.id, job.trace, "c" * 32)
    assert (told["song"]["seconds"], len(told["song"]["sha256"])) == (1, 64)
    assert "limited quality" in told["model"]["note"]
    assert "limited quality" in told["warnings"][0]
    phases = {"downloading", "decoding", "separating", "encoding", "uploading"}
    assert set(told["timings"]) == phases
    line = record(job)
    assert (line.state, line.phase, line.progress) == ("done", "", 1.0)
    assert line.stems == ["drums.mp3", "bass.mp3", "other.mp3", "vocals.mp3"]
    assert (line.model, line.finished) == ("htdemucs_tiny", told["finished"])


def test_the_stems_are_those_of_demucs_itself(put, tools, root, tmp_path):
    network = load_safetensors_model(TINY)
    arguments, named = network._init_args_kwargs
    package = {"klass": type(network), "args": arguments, "kwargs": named}
    torch.save(package | {"state": get_state(network, None)}, tmp_path / "tiny.th")
    data = sounds.file(sounds.music(9.3), subtype="FLOAT")
    (tmp_path / "song.wav").write_bytes(data)
    separator = Separator("tiny", tmp_path, "cpu", shifts=0)
    _, right = separator.separate_audio_file(tmp_path / "song.wav")
    job = put(data, format="wav", bits="32", clip_mode="none")
    live(job, tools)
    for name, audio in right.items():
        got = root.get_object("stems", f"{job.song.key}/{name}.wav").read()
        heard = soundfile.read(io.BytesIO(got), dtype="float32")[0].T
        assert heard.shape == tuple(audio.shape)
        assert sounds.decibels(heard, audio.numpy()) < -110, name


def test_two_stems_are_one_and_the_sum_of_the_others(put, song, tools, root, manifest):
    options = {"format": "wav", "bits": "32", "clip_mode": "none"}
    all_, two = put(song, "all.wav", **options), put(song, "two.wav", two_stems="bass", **options)
    live(all_, tools)
    live(two, tools)

    def heard(job: Job, name: str) -> np.ndarray:
        got = root.get_object("stems", f"{job.song.key}/{name}.wav").read()
        return soundfile.read(io.BytesIO(got), dtype="float32")[0]

    assert [stem["name"] for stem in manifest(two)["stems"]] == ["bass", "no_bass"]
    others = heard(all_, "drums") + heard(all_, "other") + heard(all_, "vocals")
    assert np.array_equal(heard(two, "bass"), heard(all_, "bass"))
    assert sounds.decibels(heard(two, "no_bass"), others) < -120


@pytest.mark.parametrize(
    "data", [MIX * 0, MIX[:1], MIX[:, :1], MIX * 40], ids=["0", "1", "mono", "loud"]
)
def test_silence_one_sample_mono_and_clipping_are_songs(put, tools, manifest, data):
    job = put(sounds.file(data, subtype="FLOAT"))
    live(job, tools)
    assert len(manifest(job)["stems"]) == 4


def test_the_same_event_again_changes_nothing(put, song, tools, beside):
    job = put(song)
    live(job, tools)
    before = beside(job)
    live(later(job), tools)
    assert beside(job) == before


def test_the_same_job_done_again_gives_the_same_stems(put, song, tools, root, beside, bus):
    job = put(song, shifts="2", format="flac")
    live(job, tools)
    before = beside(job)
    root.remove_object("stems", f"{job.song.key}/manifest.json")
    live(job, tools)
    after = beside(job)
    assert before.pop("manifest.json") != after.pop("manifest.json")
    assert before == after


def test_a_stem_that_is_gone_is_made_again(put, song, tools, root, beside):
    job = put(song)
    live(job, tools)
    root.remove_object("stems", f"{job.song.key}/bass.mp3")
    live(job, tools)
    assert "bass.mp3" in beside(job)


def test_another_callback_for_what_is_done_is_told(put, song, tools, manifest):
    job = put(song, callback="a" * 32)
    live(job, tools)
    first = manifest(job)
    live(replace(job, callback="b" * 32), tools)
    second = manifest(job)
    assert second["callback"] == "b" * 32
    assert second["finished"] > first["finished"]
    assert second["stems"] == first["stems"]


def test_a_record_that_was_lost_is_told_again(put, song, tools, record, bus):
    job = put(song)
    live(job, tools)
    before = record(job)
    bus.delete(JOBS, job.id)
    live(job, tools)
    assert replace(record(job), updated="") == replace(before, updated="")


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
    put, tools, beside, failure, record, data, options, kind
):
    job = put(data, **options)
    live(job, tools)
    told = failure(job)
    assert told["type"] == f"urn:micro-demucs:problem:{kind}"
    assert (told["status"], told["job"]) == (422, job.id)
    assert told["song"]["key"] == job.song.key
    assert (record(job).state, record(job).problem["type"]) == ("failed", told["type"])
    before = beside(job)
    live(job, tools)
    assert beside(job) == before
    assert list(before) == ["failure.json"]


def test_too_many_bytes_are_refused(put, song, tools, failure):
    job = put(song)
    live(job, replace(tools, max_bytes=1000))
    assert "more than 1000 bytes" in failure(job)["detail"]


def test_a_key_that_leaves_no_room_is_refused(put, tools, failure):
    job = put(SONG, "/".join(["k" * 200] * 4 + ["k" * 160]))
    live(job, tools)
    assert "1000 are accepted" in failure(job)["detail"]


def test_the_same_bytes_put_again_after_a_failure_are_tried_again(put, tools, failure):
    job = put(b"a text")
    live(job, tools)
    first = failure(job)
    live(later(job), tools)
    assert failure(job)["finished"] > first["finished"]


def test_a_cancelled_job_is_not_begun(put, song, tools, beside, failure, record, bus):
    job = put(song)
    bus.put(CANCELS, job.id, b"1")
    live(job, tools)
    assert failure(job)["type"].endswith(":cancelled")
    assert (record(job).state, list(beside(job))) == ("cancelled", ["failure.json"])


def test_a_job_is_cancelled_between_two_segments(put, tools, beside, record, bus, monkeypatch):
    job = put(sounds.file(sounds.music(50)))

    def cancel(report: Report) -> None:
        bus.put(CANCELS, job.id, b"1")

    at(monkeypatch, "separating", cancel)
    live(job, tools)
    assert (record(job).state, list(beside(job))) == ("cancelled", ["failure.json"])
    assert 0.05 <= record(job).progress < 0.85


def test_a_cancelled_song_that_is_put_again_is_separated(put, song, tools, beside, bus):
    job = put(song)
    bus.put(CANCELS, job.id, b"1")
    live(job, tools)
    live(later(job), tools)
    assert {"manifest.json", "drums.mp3"} <= set(beside(job))
    assert "failure.json" not in beside(job)


@pytest.mark.parametrize("phase", ["downloading", "separating", "uploading"])
def test_a_song_that_is_overwritten_meanwhile_is_left_to_its_own_event(
    put, song, tools, beside, record, monkeypatch, phase
):
    job = put(song)
    at(monkeypatch, phase, lambda report: put(sounds.file(sounds.music(0.5, seed=9))) and None)
    live(job, tools)
    assert (record(job).state, beside(job)) == ("superseded", {})


def test_a_song_that_is_gone_is_nobodys(put, song, tools, root, beside, record):
    job = put(song)
    root.remove_object("songs", job.song.key)
    live(job, tools)
    assert (record(job).state, beside(job)) == ("superseded", {})


def test_in_a_versioned_bucket_the_newest_version_is_separated(put, song, tools, root, manifest):
    bucket = "versioned"
    root.make_bucket(bucket)
    root.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
    first, second = put(song, bucket=bucket), put(song, bucket=bucket)
    assert first.song.etag == second.song.etag
    as_root = replace(tools, store=root)
    live(first, as_root)
    assert manifest(first) is None
    live(second, as_root)
    assert manifest(second)["song"]["version"] == second.song.version


def test_the_same_audio_with_the_same_options_is_copied(put, song, tools, root, beside, manifest):
    first, second = put(song, "first.wav"), put(song, "second.wav", callback="d" * 32)
    live(first, tools)
    live(second, tools)
    told = manifest(second)
    assert (told["reused_from"], told["callback"]) == (first.song.key, "d" * 32)
    assert told["song"]["seconds"] == 1
    assert "separating" not in told["timings"]
    stems = [f"{name}.mp3" for name in ("drums", "bass", "other", "vocals")]
    assert [beside(second)[name] for name in stems] == [beside(first)[name] for name in stems]
    answer = root.stat_object("stems", f"{second.song.key}/drums.mp3")
    assert answer.content_type == "audio/mpeg"


def test_other_options_or_stems_that_are_gone_are_not_copied(put, song, tools, root, manifest):
    first, flac, again = put(song, "1.wav"), put(song, "2.wav", format="flac"), put(song, "3.wav")
    live(first, tools)
    live(flac, tools)
    assert "reused_from" not in manifest(flac)
    root.remove_object("stems", f"{first.song.key}/drums.mp3")
    live(again, tools)
    assert "reused_from" not in manifest(again)


def test_another_default_model_does_not_reuse_what_the_last_one_made(
    put, song, tools, manifest, tmp_path
):
    live(put(song, "first.wav"), tools)
    (tmp_path / "better.safetensors").write_bytes(TINY.read_bytes())
    better = replace(tools.models, default=str(tmp_path / "better.safetensors"))
    second = put(song, "second.wav")
    live(second, replace(tools, models=better))
    assert manifest(second)["model"] == {"name": "better"}
    assert "reused_from" not in manifest(second)


def test_what_an_earlier_job_left_is_taken_away(put, request, tools, beside):
    live(put(unlike(request)), tools)
    flac = put(unlike(request), stems="bass", format="flac")
    live(flac, tools)
    assert set(beside(flac)) == {"bass.flac", "manifest.json"}
    text = put(b"a text")
    live(text, tools)
    assert set(beside(text)) == {"failure.json"}
    again = put(unlike(request), stems="bass", format="flac")
    live(again, tools)
    assert set(beside(again)) == {"bass.flac", "manifest.json"}


def test_one_song_has_one_writer_at_a_time(put, song, tools, beside, bus):
    job = put(song)
    other = Lease(bus, job.song.key, "another process")
    other.take()
    with pytest.raises(Later, match="Another process"):
        live(job, tools)
    assert beside(job) == {}
    other.release()
    live(job, tools)
    assert "manifest.json" in beside(job)
    assert not bus.get(LEASES, lease_key(job.song.key))


def test_who_lost_the_lease_stops(put, song, tools, beside, record, monkeypatch):
    job = put(song)
    at(monkeypatch, "separating", lambda report: report._lease.lost.set())
    with pytest.raises(Later, match="Another process"):
        live(job, tools)
    assert (beside(job), record(job).state) == ({}, "waiting")


def test_a_lease_is_kept_for_as_long_as_its_holder_says_so(bus, request):
    lease = Lease(bus, request.node.name, "we")
    lease.take()
    lease.refresh()
    assert not lease.lost.is_set()
    bus.delete(LEASES, lease_key(request.node.name))  # it ran out
    lease.refresh()
    assert not lease.lost.is_set()
    bus.delete(LEASES, lease_key(request.node.name))
    Lease(bus, request.node.name, "they").take()
    lease.refresh()
    assert lease.lost.is_set()
    lease.release()
    assert bus.get(LEASES, lease_key(request.node.name)).value == b"they"


def test_a_stop_hands_back_a_song_that_needs_longer_than_the_grace(
    put, tools, beside, record, bus, monkeypatch
):
    job = put(sounds.file(sounds.music(50)))
    at(monkeypatch, "separating", lambda report: room.stopping.set())
    with pytest.raises(Later) as told:
        live(job, replace(tools, grace=3.5))
    assert (told.value.kind, told.value.after) == ("stopping", 1)
    assert (beside(job), record(job).state, record(job).progress) == ({}, "waiting", 0)
    assert not bus.get(LEASES, lease_key(job.song.key))


def test_a_stop_lets_a_song_end_that_is_nearly_done(put, song, tools, beside, monkeypatch):
    job = put(song)
    at(monkeypatch, "encoding", lambda report: room.stopping.set())
    live(job, tools)
    assert "manifest.json" in beside(job)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(MemoryError(), "no-memory"), (OSError(errno.ENOSPC, "full"), "no-disk")],
    ids=["memory", "disk"],
)
def test_too_little_memory_or_disk_may_pass(
    put, song, tools, beside, record, monkeypatch, error, kind
):
    job = put(song)

    def fail(report: Report) -> None:
        raise error

    at(monkeypatch, "separating", fail)
    with pytest.raises(Later) as told:
        live(job, tools)
    assert told.value.kind == kind
    assert (beside(job), record(job).state) == ({}, "waiting")


def test_events_at_once_are_one_job(put, song, tools, beside):
    job = put(song)
    told: list[str] = []

    def one() -> None:
        live(job, tools)
        told.append(json.dumps(beside(job)))

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 3
    assert len(set(told)) == 1
