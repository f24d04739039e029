"""Stems that are copied from another job with the same audio and options."""

from dataclasses import replace
from pathlib import Path

from minio import Minio
from msgspec import UNSET

from functions.separate import reuse
from functions.separate.context import Context
from functions.separate.engine.registry import ModelRegistry
from functions.separate.engine.settings import ModelSettings
from functions.separate.job_runner import run_job
from microdemucs.bus import RESULTS, Bus
from microdemucs.jobs import options_hash
from microdemucs.options import Options
from microdemucs.paths import MODELS
from tests.integration.separate.jobs import PutSong, ReadManifest, ReadObjects

TINY = MODELS / "htdemucs_tiny" / "htdemucs_tiny.safetensors"


def test_a_finished_job_is_found_by_its_audio_and_options(bus: Bus) -> None:
    finished = reuse.FinishedJob(key="a song", job="a job")
    reuse.remember(bus, "1" * 64, Options(format="flac"), finished)
    assert reuse.find(bus, "1" * 64, Options(format="flac")) == finished
    assert reuse.find(bus, "1" * 64, Options()) is None


def test_an_entry_that_cannot_be_read_is_as_none(bus: Bus) -> None:
    bus.put(RESULTS, f"{'2' * 64}.{options_hash(Options())}", b"{}")
    assert reuse.find(bus, "2" * 64, Options()) is None


def test_the_same_audio_with_the_same_options_is_copied(
    put: PutSong, song: bytes, context: Context, objects: ReadObjects, manifest: ReadManifest
) -> None:
    first, second = put(song, "first.wav"), put(song, "second.wav")
    run_job(first, context)
    run_job(second, context)
    found = manifest(second)
    assert found.reused_from == first.song.key
    assert found.song.seconds == 1
    assert "separating" not in found.timings
    stems = [f"{name}.mp3" for name in ("drums", "bass", "other", "vocals")]
    assert [objects(second)[name] for name in stems] == [objects(first)[name] for name in stems]


def test_a_copy_keeps_its_content_type(
    put: PutSong, song: bytes, context: Context, root: Minio
) -> None:
    first, second = put(song, "first.wav"), put(song, "second.wav")
    run_job(first, context)
    run_job(second, context)
    stat = root.stat_object("stems", f"{second.song.key}/drums.mp3")
    assert stat.content_type == "audio/mpeg"


def test_other_options_are_not_copied(
    put: PutSong, song: bytes, context: Context, manifest: ReadManifest
) -> None:
    run_job(put(song, "1.wav"), context)
    flac = put(song, "2.wav", format="flac")
    run_job(flac, context)
    assert manifest(flac).reused_from is UNSET


def test_stems_of_which_one_is_gone_are_not_copied(
    put: PutSong, song: bytes, context: Context, root: Minio, manifest: ReadManifest
) -> None:
    first, second = put(song, "1.wav"), put(song, "2.wav")
    run_job(first, context)
    root.remove_object("stems", f"{first.song.key}/drums.mp3")
    run_job(second, context)
    assert manifest(second).reused_from is UNSET


def test_the_stems_of_another_default_model_are_not_copied(
    put: PutSong, song: bytes, context: Context, manifest: ReadManifest, tmp_path: Path
) -> None:
    run_job(put(song, "first.wav"), context)
    (tmp_path / "better.safetensors").write_bytes(TINY.read_bytes())
    better = ModelRegistry(ModelSettings(default=str(tmp_path / "better.safetensors")))
    second = put(song, "second.wav")
    run_job(second, replace(context, models=better))
    assert (manifest(second).model.name, manifest(second).model.note) == ("better", UNSET)
    assert manifest(second).reused_from is UNSET
