"""One job from its event to its mark, on a real store and a real bus: songs that become stems."""

import io
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from demucs.api import Separator
from demucs.hf import load_safetensors_model
from demucs.states import get_state
from minio.versioningconfig import ENABLED, VersioningConfig
from msgspec import structs

from functions.separate.engine.registry import ModelRegistry
from functions.separate.job import Job
from functions.separate.job_runner import run_job
from functions.separate.settings import ModelSettings
from microdemucs.bucket import Bucket
from microdemucs.bus import JOBS
from microdemucs.jobs import PHASES, preview_key
from microdemucs.paths import MODELS
from tests.integration.separate import sounds
from tests.integration.separate.asked import at, later, unlike

MIX = sounds.music(1)
TINY = MODELS / "htdemucs_tiny" / "htdemucs_tiny.safetensors"


def test_a_song_becomes_stems_and_a_manifest(put, song, context, root, manifest, record):
    job = put(song, callback="c" * 32)
    run_job(job, context)
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
    assert set(told["timings"]) == {*PHASES, "first_block"}
    line = record(job)
    assert (line.state, line.phase, line.progress) == ("done", "", 1.0)
    assert line.stems == ["drums.mp3", "bass.mp3", "other.mp3", "vocals.mp3"]
    assert (line.model, line.finished) == ("htdemucs_tiny", told["finished"])


def test_the_stems_are_those_of_demucs_itself(put, context, root, tmp_path):
    network = load_safetensors_model(TINY)
    arguments, named = network._init_args_kwargs
    package = {"klass": type(network), "args": arguments, "kwargs": named}
    torch.save(package | {"state": get_state(network, None)}, tmp_path / "tiny.th")
    data = sounds.file(sounds.music(9.3), subtype="FLOAT")
    (tmp_path / "song.wav").write_bytes(data)
    separator = Separator("tiny", tmp_path, "cpu", shifts=0)
    _, right = separator.separate_audio_file(tmp_path / "song.wav")
    job = put(data, format="wav", bits="32", clip_mode="none")
    on_torch = ModelRegistry(ModelSettings(default="htdemucs_tiny", engine="torch"))
    run_job(job, replace(context, models=on_torch))
    for name, audio in right.items():
        got = root.get_object("stems", f"{job.song.key}/{name}.wav").read()
        heard = soundfile.read(io.BytesIO(got), dtype="float32")[0].T
        assert heard.shape == tuple(audio.shape)
        assert sounds.decibels(heard, audio.numpy()) < -110, name


def test_while_a_song_is_separated_its_stems_can_be_heard(put, context, beside, monkeypatch):
    job = put(sounds.file(sounds.music(20, seed=5)), stems="drums,bass")
    seen: list[set[str]] = []
    at(monkeypatch, "uploading", lambda report: seen.append(set(beside(job))))
    run_job(job, context)
    assert seen == [{".live/drums.mp3/000001", ".live/bass.mp3/000001"}]
    assert set(beside(job)) == {"drums.mp3", "bass.mp3", "manifest.json"}


def test_what_a_killed_process_left_to_be_heard_is_taken_away(put, song, context, root, beside):
    job = put(song)
    root.put_object("stems", preview_key(job.song.key, "kazoo.wav", 7), io.BytesIO(b"x"), 1)
    run_job(job, context)
    assert ".live/kazoo.wav/000007" not in beside(job)


def test_a_stem_that_would_clip_is_quieter_and_the_manifest_says_by_how_much(
    put, context, manifest
):
    job = put(sounds.file(MIX * 40, subtype="FLOAT"), format="wav", bits="32")
    run_job(job, context)
    scales = [stem.get("scale", 1) for stem in manifest(job)["stems"]]
    assert min(scales) < 1


def test_two_stems_are_one_and_the_sum_of_the_others(put, song, context, root, manifest):
    options = {"format": "wav", "bits": "32", "clip_mode": "none"}
    all_, two = put(song, "all.wav", **options), put(song, "two.wav", two_stems="bass", **options)
    run_job(all_, context)
    run_job(two, context)

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
def test_silence_one_sample_mono_and_clipping_are_songs(put, context, manifest, data):
    job = put(sounds.file(data, subtype="FLOAT"))
    run_job(job, context)
    assert len(manifest(job)["stems"]) == 4


def test_the_same_event_again_changes_nothing(put, song, context, beside):
    job = put(song)
    run_job(job, context)
    before = beside(job)
    run_job(later(job), context)
    assert beside(job) == before


def test_the_same_job_done_again_gives_the_same_stems(put, song, context, root, beside, bus):
    job = put(song, shifts="2", format="flac")
    run_job(job, context)
    before = beside(job)
    root.remove_object("stems", f"{job.song.key}/manifest.json")
    run_job(job, context)
    after = beside(job)
    assert before.pop("manifest.json") != after.pop("manifest.json")
    assert before == after


def test_a_stem_that_is_gone_is_made_again(put, song, context, root, beside):
    job = put(song)
    run_job(job, context)
    root.remove_object("stems", f"{job.song.key}/bass.mp3")
    run_job(job, context)
    assert "bass.mp3" in beside(job)


def test_another_callback_for_what_is_done_is_told(put, song, context, manifest):
    job = put(song, callback="a" * 32)
    run_job(job, context)
    first = manifest(job)
    run_job(replace(job, callback="b" * 32), context)
    second = manifest(job)
    assert second["callback"] == "b" * 32
    assert second["finished"] > first["finished"]
    assert second["stems"] == first["stems"]


def test_a_record_that_was_lost_is_told_again(put, song, context, record, bus):
    job = put(song)
    run_job(job, context)
    before = record(job)
    bus.delete(JOBS, job.id)
    run_job(job, context)
    assert structs.replace(record(job), updated="") == structs.replace(before, updated="")


def test_in_a_versioned_bucket_the_newest_version_is_separated(put, song, context, root, manifest):
    bucket = "versioned"
    root.make_bucket(bucket)
    root.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
    first, second = put(song, bucket=bucket), put(song, bucket=bucket)
    assert first.song.etag == second.song.etag
    as_root = replace(context, stems=Bucket(root, "stems"))
    run_job(first, as_root)
    assert manifest(first) is None
    run_job(second, as_root)
    assert manifest(second)["song"]["version"] == second.song.version


def test_the_same_audio_with_the_same_options_is_copied(put, song, context, root, beside, manifest):
    first, second = put(song, "first.wav"), put(song, "second.wav", callback="d" * 32)
    run_job(first, context)
    run_job(second, context)
    told = manifest(second)
    assert (told["reused_from"], told["callback"]) == (first.song.key, "d" * 32)
    assert told["song"]["seconds"] == 1
    assert "separating" not in told["timings"]
    stems = [f"{name}.mp3" for name in ("drums", "bass", "other", "vocals")]
    assert [beside(second)[name] for name in stems] == [beside(first)[name] for name in stems]
    answer = root.stat_object("stems", f"{second.song.key}/drums.mp3")
    assert answer.content_type == "audio/mpeg"


def test_other_options_or_stems_that_are_gone_are_not_copied(put, song, context, root, manifest):
    first, flac, again = put(song, "1.wav"), put(song, "2.wav", format="flac"), put(song, "3.wav")
    run_job(first, context)
    run_job(flac, context)
    assert "reused_from" not in manifest(flac)
    root.remove_object("stems", f"{first.song.key}/drums.mp3")
    run_job(again, context)
    assert "reused_from" not in manifest(again)


def test_another_default_model_does_not_reuse_what_the_last_one_made(
    put, song, context, manifest, tmp_path
):
    run_job(put(song, "first.wav"), context)
    (tmp_path / "better.safetensors").write_bytes(TINY.read_bytes())
    better = ModelRegistry(ModelSettings(default=str(tmp_path / "better.safetensors")))
    second = put(song, "second.wav")
    run_job(second, replace(context, models=better))
    assert manifest(second)["model"] == {"name": "better"}
    assert "reused_from" not in manifest(second)


def test_what_an_earlier_job_left_is_taken_away(put, request, context, beside):
    run_job(put(unlike(request)), context)
    flac = put(unlike(request), stems="bass", format="flac")
    run_job(flac, context)
    assert set(beside(flac)) == {"bass.flac", "manifest.json"}
    text = put(b"a text")
    run_job(text, context)
    assert set(beside(text)) == {"failure.json"}
    again = put(unlike(request), stems="bass", format="flac")
    run_job(again, context)
    assert set(beside(again)) == {"bass.flac", "manifest.json"}
