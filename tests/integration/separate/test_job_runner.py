"""Songs that become stems, on a real store and a real bus."""

import io
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from demucs.api import Separator
from demucs.hf import load_safetensors_model
from demucs.states import get_state
from minio import Minio
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig
from msgspec import UNSET, structs

from functions.separate.audio.decoder import decode
from functions.separate.context import Context
from functions.separate.engine.registry import ModelRegistry
from functions.separate.engine.settings import ModelSettings
from functions.separate.job import CALLBACK_IGNORED, Job
from functions.separate.job_runner import run_job
from functions.separate.stems import make_plan, separate_song
from microdemucs.bucket import Bucket
from microdemucs.bus import JOBS, Bus
from microdemucs.jobs import PHASES, preview_key
from microdemucs.paths import MODELS
from tests.integration.separate import sounds
from tests.integration.separate.jobs import (
    PutSong,
    ReadFinished,
    ReadManifest,
    ReadObjects,
    ReadRecord,
    at_phase,
    put_again_later,
    unique_song,
)

MIX = sounds.music(1)
LOUD_MIX = MIX * np.float32(40)
SOURCES = ["drums", "bass", "other", "vocals"]
TINY = MODELS / "htdemucs_tiny" / "htdemucs_tiny.safetensors"
FLOAT_WAV = {"format": "wav", "bits": "32"}


def read_stem(root: Minio, job: Job, name: str) -> sounds.Samples:
    """Return the samples [n, 2] of a stem that is a WAV."""
    return sounds.read(root.get_object("stems", f"{job.song.key}/{name}.wav").read())


def test_a_song_becomes_stems(
    put: PutSong, song: bytes, context: Context, root: Minio, manifest: ReadManifest
) -> None:
    job = put(song)
    run_job(job, context)
    assert [stem.name for stem in manifest(job).stems] == SOURCES
    for stem in manifest(job).stems:
        response = root.get_object("stems", stem.key)
        data = response.read()
        assert (len(data), response.headers["Content-Type"]) == (stem.size, "audio/mpeg")
        assert soundfile.info(io.BytesIO(data)).duration == pytest.approx(1, abs=0.1)


def test_the_record_says_how_much_work_the_job_was(
    put: PutSong, song: bytes, context: Context, record: ReadRecord, manifest: ReadManifest
) -> None:
    job = put(song, shifts="2")
    run_job(job, context)
    estimate = record(job).estimate
    assert estimate
    assert (estimate.passes, estimate.windows) == (2, 2)
    segment = context.models.load(context.models.choose("")).engines[0].segment
    assert estimate.network_seconds == pytest.approx(2 * segment, abs=0.01)
    assert estimate.output_bytes == pytest.approx(
        sum(stem.size for stem in manifest(job).stems), rel=0.2
    )
    assert estimate.seconds is not None


def test_the_manifest_describes_the_job_the_song_and_the_model(
    put: PutSong, song: bytes, context: Context, manifest: ReadManifest
) -> None:
    job = put(song, callback="c" * 32)
    run_job(job, context)
    found = manifest(job)
    assert (found.job, found.trace) == (job.id, job.trace)
    assert (found.song.seconds, len(found.song.sha256)) == (1, 64)
    assert (found.song.key, found.song.etag) == (job.song.key, job.song.etag)
    assert "limited quality" in str(found.model.note)
    assert "limited quality" in found.warnings[0]
    assert set(found.timings) == {*PHASES, "first_block"}


def test_the_manifest_names_no_callback(
    put: PutSong, song: bytes, context: Context, root: Minio
) -> None:
    job = put(song, callback="c" * 32)
    run_job(job, context)
    text = root.get_object("stems", f"{job.song.key}/manifest.json").read()
    assert b"c" * 32 not in text


def test_a_callback_that_is_none_is_a_warning(
    put: PutSong, song: bytes, context: Context, manifest: ReadManifest, record: ReadRecord
) -> None:
    job = replace(put(song), warnings=(CALLBACK_IGNORED,))
    run_job(job, context)
    assert manifest(job).warnings[0] == record(job).warnings[0] == CALLBACK_IGNORED


def test_the_record_of_a_finished_job(
    put: PutSong, song: bytes, context: Context, manifest: ReadManifest, record: ReadRecord
) -> None:
    job = put(song)
    run_job(job, context)
    found = record(job)
    assert (found.state, found.phase, found.progress) == ("done", "", 1.0)
    assert found.stems == [f"{name}.mp3" for name in SOURCES]
    assert (found.model, found.finished) == ("htdemucs_tiny", manifest(job).finished)


def test_the_stems_are_those_of_demucs_itself(
    put: PutSong, context: Context, root: Minio, tmp_path: Path
) -> None:
    network: Any = load_safetensors_model(TINY)
    arguments, named = network._init_args_kwargs
    package: dict[str, Any] = {"klass": type(network), "args": arguments, "kwargs": named}
    state = get_state(network, None)
    torch.save(package | {"state": state}, tmp_path / "tiny.th")
    data = sounds.file(sounds.music(9.3), subtype="FLOAT")
    (tmp_path / "song.wav").write_bytes(data)
    separator = Separator("tiny", tmp_path, "cpu", shifts=0)
    _, expected = separator.separate_audio_file(tmp_path / "song.wav")
    job = put(data, clip_mode="none", **FLOAT_WAV)
    on_torch = ModelRegistry(ModelSettings(default="htdemucs_tiny", engine="torch"))
    run_job(job, replace(context, models=on_torch))
    for name, audio in expected.items():
        stem = read_stem(root, job, name).T
        assert stem.shape == tuple(audio.shape)
        assert sounds.decibels(stem, audio.numpy()) < -110, name


def test_stems_have_a_preview_while_the_song_is_separated(
    put: PutSong, context: Context, objects: ReadObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = put(sounds.file(sounds.music(20, seed=5)), stems="drums,bass")
    seen: list[set[str]] = []
    at_phase(monkeypatch, "uploading", lambda progress: seen.append(set(objects(job))))
    run_job(job, context)
    peaks = ".live/peaks/00000000"
    assert seen == [{".live/drums.mp3/000001", ".live/bass.mp3/000001", peaks}]


def test_a_finished_job_leaves_stems_peaks_and_a_manifest_only(
    put: PutSong, context: Context, objects: ReadObjects
) -> None:
    job = put(sounds.file(sounds.music(20, seed=6)), stems="drums,bass")
    run_job(job, context)
    assert set(objects(job)) == {"drums.mp3", "bass.mp3", "peaks.bin", "manifest.json"}


def test_previews_that_a_killed_process_left_are_removed(
    put: PutSong, song: bytes, context: Context, root: Minio, objects: ReadObjects
) -> None:
    job = put(song)
    root.put_object("stems", preview_key(job.song.key, "kazoo.wav", 7), io.BytesIO(b"x"), 1)
    run_job(job, context)
    assert ".live/kazoo.wav/000007" not in objects(job)


def test_the_manifest_says_by_what_a_stem_that_would_clip_is_scaled(
    put: PutSong, context: Context, manifest: ReadManifest
) -> None:
    data = sounds.file(LOUD_MIX, subtype="FLOAT")
    job = put(data, **FLOAT_WAV)
    run_job(job, context)
    model = context.models.load(context.models.choose(""))
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        with decode(file, 60, lambda share: None) as song:
            plan = make_plan(model, song.length, job.options(), job.id)
            sources = np.concatenate([*separate_song(song, plan, lambda share: None)], axis=-1)
    peaks = np.abs(sources).max(axis=(1, 2))
    expected = [round(1 / max(1.01 * float(peak), 1), 6) for peak in peaks]
    scales = [1 if stem.scale is UNSET else stem.scale for stem in manifest(job).stems]
    assert scales == pytest.approx(expected, abs=2e-6)
    assert min(scales) < 0.5


def test_a_stem_that_would_clip_ends_below_full_scale(
    put: PutSong, context: Context, root: Minio, manifest: ReadManifest
) -> None:
    job = put(sounds.file(LOUD_MIX, subtype="FLOAT"), **FLOAT_WAV)
    run_job(job, context)
    scaled = [stem.name for stem in manifest(job).stems if stem.scale is not UNSET]
    assert scaled
    for name in scaled:
        assert np.abs(read_stem(root, job, name)).max() == pytest.approx(1 / 1.01, abs=1e-5)


def test_silence_stays_silent(put: PutSong, context: Context, root: Minio) -> None:
    job = put(sounds.file(MIX * 0, subtype="FLOAT"), **FLOAT_WAV)
    run_job(job, context)
    for name in SOURCES:
        stem = read_stem(root, job, name)
        assert stem.shape == MIX.shape
        assert np.abs(stem).max() < 1e-6


def test_a_song_of_one_sample_has_stems_of_one_sample(
    put: PutSong, context: Context, root: Minio, manifest: ReadManifest
) -> None:
    job = put(sounds.file(MIX[:1], subtype="FLOAT"), **FLOAT_WAV)
    run_job(job, context)
    assert [read_stem(root, job, name).shape for name in SOURCES] == [(1, 2)] * 4
    assert manifest(job).song.seconds == pytest.approx(0, abs=1e-3)


def test_a_mono_song_is_separated_like_two_equal_channels(
    put: PutSong, context: Context, root: Minio
) -> None:
    mono = put(sounds.file(MIX[:, :1], subtype="FLOAT"), "mono.wav", **FLOAT_WAV)
    doubled = np.repeat(MIX[:, :1], 2, axis=1)
    stereo = put(sounds.file(doubled, subtype="FLOAT"), "stereo.wav", **FLOAT_WAV)
    run_job(mono, context)
    run_job(stereo, context)
    for name in SOURCES:
        stem = read_stem(root, mono, name)
        assert stem.shape == MIX.shape
        assert np.array_equal(stem, read_stem(root, stereo, name))


def test_two_stems_are_one_source_and_the_sum_of_the_others(
    put: PutSong, song: bytes, context: Context, root: Minio, manifest: ReadManifest
) -> None:
    options = FLOAT_WAV | {"clip_mode": "none"}
    all_, two = put(song, "all.wav", **options), put(song, "two.wav", two_stems="bass", **options)
    run_job(all_, context)
    run_job(two, context)
    assert [stem.name for stem in manifest(two).stems] == ["bass", "no_bass"]
    others = sum(read_stem(root, all_, name) for name in ("drums", "other", "vocals"))
    assert np.array_equal(read_stem(root, two, "bass"), read_stem(root, all_, "bass"))
    assert sounds.decibels(read_stem(root, two, "no_bass"), np.asarray(others)) < -120


def test_the_same_event_again_changes_nothing(
    put: PutSong, song: bytes, context: Context, objects: ReadObjects
) -> None:
    job = put(song)
    run_job(job, context)
    before = objects(job)
    run_job(put_again_later(job), context)
    assert objects(job) == before


def test_a_late_event_does_not_replace_the_result_of_a_later_request(
    put: PutSong, song: bytes, context: Context, manifest: ReadManifest, record: ReadRecord
) -> None:
    first, other = put(song), put(song, format="flac")
    run_job(first, context)
    run_job(put(song), context)  # again with the first options, which is done
    run_job(other, context)
    assert manifest(first).job == first.id
    assert record(other).state == "superseded"


def test_the_same_job_done_again_gives_the_same_stems(
    put: PutSong, song: bytes, context: Context, root: Minio, objects: ReadObjects
) -> None:
    job = put(song, shifts="2", format="flac")
    run_job(job, context)
    before = objects(job)
    root.remove_object("stems", f"{job.song.key}/manifest.json")
    run_job(job, context)
    after = objects(job)
    assert before.pop("manifest.json") != after.pop("manifest.json")
    assert before == after


def test_a_missing_stem_is_written_again(
    put: PutSong, song: bytes, context: Context, root: Minio, objects: ReadObjects
) -> None:
    job = put(song)
    run_job(job, context)
    root.remove_object("stems", f"{job.song.key}/bass.mp3")
    run_job(job, context)
    assert "bass.mp3" in objects(job)


def test_each_request_of_a_finished_job_has_a_message_for_its_own_callback(
    put: PutSong, song: bytes, context: Context, manifest: ReadManifest, finished: ReadFinished
) -> None:
    first, second = put(song, callback="a" * 32), put(song, callback="b" * 32)
    assert first.id == second.id
    run_job(first, context)
    written = manifest(first)
    for job in (second, first, put_again_later(replace(first, callback="c" * 32))):
        run_job(job, context)
    messages = finished(first)
    assert [message.callback for message in messages] == ["a" * 32, "b" * 32, "c" * 32]
    assert {message.document for message in messages} == {written.write().decode()}
    assert manifest(first) == written


def test_a_finished_song_that_is_put_again_without_a_callback_keeps_its_manifest(
    put: PutSong, song: bytes, context: Context, manifest: ReadManifest
) -> None:
    run_job(put(song), context)
    again = put(song)
    first = manifest(again)
    run_job(again, context)
    assert manifest(again) == first


def test_a_lost_record_is_restored(
    put: PutSong, song: bytes, context: Context, record: ReadRecord, bus: Bus
) -> None:
    job = put(song)
    run_job(job, context)
    before = record(job)
    bus.delete(JOBS, job.id)
    run_job(job, context)
    # the estimate is of use before a job is done, and no other document has it
    expected = structs.replace(before, updated="", estimate=None)
    assert structs.replace(record(job), updated="") == expected


def test_in_a_versioned_bucket_the_newest_version_is_separated(
    put: PutSong,
    song: bytes,
    context: Context,
    root: Minio,
    objects: ReadObjects,
    manifest: ReadManifest,
) -> None:
    root.make_bucket("versioned")
    root.set_bucket_versioning("versioned", VersioningConfig(ENABLED))
    first, second = put(song, bucket="versioned"), put(song, bucket="versioned")
    assert first.song.etag == second.song.etag
    as_root = replace(context, stems=Bucket(root, "stems"))
    run_job(first, as_root)
    assert objects(first) == {}
    run_job(second, as_root)
    assert manifest(second).song.version == second.song.version


def test_stems_of_an_interrupted_job_are_removed(
    put: PutSong, song: bytes, context: Context, objects: ReadObjects
) -> None:
    job = put(song, stems="bass")
    context.stems.write(f"{job.song.key}/vocals.flac", b"of another job", "audio/flac")
    run_job(job, context)
    assert set(objects(job)) == {"bass.mp3", "peaks.bin", "manifest.json"}


def test_the_results_of_an_earlier_job_are_removed(
    put: PutSong, request: pytest.FixtureRequest, context: Context, objects: ReadObjects
) -> None:
    run_job(put(unique_song(request)), context)
    flac = put(unique_song(request), stems="bass", format="flac")
    run_job(flac, context)
    assert set(objects(flac)) == {"bass.flac", "peaks.bin", "manifest.json"}
    text = put(b"a text")
    run_job(text, context)
    assert set(objects(text)) == {"failure.json"}
    again = put(unique_song(request), stems="bass", format="flac")
    run_job(again, context)
    assert set(objects(again)) == {"bass.flac", "peaks.bin", "manifest.json"}
