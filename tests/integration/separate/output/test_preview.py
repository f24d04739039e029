"""What can be heard of a stem before it is finished, on a real store."""

from pathlib import Path

import numpy as np
import pytest
from minio import Minio

from functions.separate.output.preview import Preview
from functions.separate.output.stem_store import StemStore
from functions.separate.output.stems_writer import open_stems
from functions.separate.stems import Stem
from microdemucs.bucket import Bucket
from microdemucs.jobs import preview_prefix
from microdemucs.options import Options
from tests.integration.separate.output.conftest import ReadBytes
from tests.integration.separate.sounds import music

SOURCE = music(60).T[None]
BLOCK = 258_000


@pytest.mark.parametrize("format_", ["mp3", "flac", "wav"])
def test_the_chunks_are_the_beginning_of_the_stem(
    stem_store: StemStore, stored: ReadBytes, format_: str
) -> None:
    folder = f".live/drums.{format_}/"
    options = Options(format=format_, clip_mode="none")
    counts = []
    with open_stems(stem_store, [Stem("drums", (0,))], options, SOURCE.shape[-1]) as writer:
        for start in range(0, SOURCE.shape[-1], BLOCK):
            writer.write(SOURCE[..., start : start + BLOCK].copy())
            writer.wait()
            counts.append(len([name for name in stored() if name.startswith(folder)]))
        writer.finish()
    # after the first block, and then each time 20 s are full: never at the end
    assert counts == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3]
    names = [f"{folder}00000{number}" for number in (1, 2, 3)]
    beginning = b"".join(stored()[name] for name in names)
    stem = stored()[f"drums.{format_}"]
    header = {"flac": 200, "mp3": 2000, "wav": 0}[format_]  # it is rewritten at the end
    assert 0 < len(beginning) < len(stem)
    assert beginning[header:] == stem[header : len(beginning)]


def test_all_chunks_of_a_song_are_removed_together(
    stem_store: StemStore, stored: ReadBytes, tmp_path: Path
) -> None:
    for name in ("drums.mp3", "bass.mp3"):
        with (tmp_path / name).open("w+b", buffering=0) as file:
            file.write(b"some")
            stem_store.preview(name, file).grown(4, 1)
    assert len(stored()) == 2
    stem_store.remove_previews()
    assert stored() == {}


def test_there_is_no_chunk_without_new_bytes(
    stem_store: StemStore, stored: ReadBytes, tmp_path: Path
) -> None:
    with (tmp_path / "growing").open("w+b", buffering=0) as file:
        preview = stem_store.preview("drums.mp3", file)
        preview.grown(0, 44_100)
        assert stored() == {}


def test_there_are_no_chunks_if_their_keys_would_be_too_long(
    stems: Bucket, root: Minio, tmp_path: Path
) -> None:
    key = "/".join(["k" * 200] * 4 + ["k" * 196])
    with (tmp_path / "growing").open("w+b", buffering=0) as file:
        file.write(b"some")
        Preview(stems, key, "no_vocals.flac", file).grown(4, 1)
    assert list(root.list_objects("stems", preview_prefix(key), recursive=True)) == []


def test_a_chunk_has_the_bytes_since_the_last_one(
    stem_store: StemStore, stored: ReadBytes, tmp_path: Path
) -> None:
    with (tmp_path / "growing").open("w+b", buffering=0) as file:
        preview = stem_store.preview("drums.mp3", file)
        file.write(b"first")
        preview.grown(5, 1)
        file.write(b"second")
        preview.grown(11, int(np.ceil(20 * 44_100)) + 1)
    assert [*stored().values()] == [b"first", b"second"]
