"""Stems that are copied from another job with the same audio and options."""

import io
from dataclasses import replace
from pathlib import Path

import av
import pytest
import soundfile
from minio import Minio
from msgspec import UNSET

from functions.separate import reuse
from functions.separate.context import Context
from functions.separate.engine.registry import ModelRegistry
from functions.separate.engine.settings import ModelSettings
from functions.separate.job_runner import run_job
from microdemucs.bus import RESULTS, Bus
from microdemucs.jobs import options_hash
from microdemucs.manifest import Manifest
from microdemucs.options import Options
from microdemucs.paths import MODELS
from tests.integration.separate import sounds
from tests.integration.separate.jobs import PutSong, ReadManifest, ReadObjects

STEMS = [f"{name}.mp3" for name in ("drums", "bass", "other", "vocals")]
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


def test_the_copies_under_the_same_name_are_the_same_files(
    put: PutSong, song: bytes, context: Context, objects: ReadObjects
) -> None:
    first, second = put(song, "one/song.wav"), put(song, "two/song.wav")
    run_job(first, context)
    run_job(second, context)
    assert [objects(second)[name] for name in STEMS] == [objects(first)[name] for name in STEMS]


@pytest.mark.parametrize("format_", ["mp3", "flac", "wav"])
def test_the_copies_have_the_name_of_their_own_song_as_title(
    put: PutSong,
    song: bytes,
    context: Context,
    root: Minio,
    manifest: ReadManifest,
    format_: str,
) -> None:
    first, second = put(song, "first.wav", format=format_), put(song, "2nd.wav", format=format_)
    run_job(first, context)
    run_job(second, context)
    assert manifest(second).reused_from == first.song.key
    originals, copies = stems_of(root, manifest(first)), stems_of(root, manifest(second))
    assert [title(copy) for copy in copies] == [
        f"2nd ({name})" for name in ("drums", "bass", "other", "vocals")
    ]
    assert [samples(copy) for copy in copies] == [samples(stem) for stem in originals]
    assert [stem.size for stem in manifest(second).stems] == [len(copy) for copy in copies]


def test_the_title_of_the_song_stays_in_the_copies(
    put: PutSong, context: Context, root: Minio, manifest: ReadManifest, tmp_path: Path
) -> None:
    with soundfile.SoundFile(tmp_path / "tagged.flac", "w", 44_100, 2) as file:
        file.title = "A Title"
        file.write(sounds.music(1, seed=998))
    song = (tmp_path / "tagged.flac").read_bytes()
    first, second = put(song, "first.flac"), put(song, "second.flac")
    run_job(first, context)
    run_job(second, context)
    copies = stems_of(root, manifest(second))
    assert [title(copy) for copy in copies][:2] == ["A Title (drums)", "A Title (bass)"]


def stems_of(root: Minio, manifest: Manifest) -> list[bytes]:
    return [root.get_object("stems", stem.key).read() for stem in manifest.stems]


def title(stem: bytes) -> str:
    with av.open(io.BytesIO(stem), "r") as container:
        tags = {**container.metadata, **container.streams.audio[0].metadata}
    return {name.lower(): text for name, text in tags.items()}["title"]


def samples(stem: bytes) -> bytes:
    with av.open(io.BytesIO(stem), "r") as container:
        decoded = container.decode(container.streams.audio[0])
        return b"".join(frame.to_ndarray().tobytes() for frame in decoded)


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
