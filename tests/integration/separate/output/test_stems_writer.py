"""Stems that are written block by block have the bytes of stems that are encoded at once."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pytest
from msgspec import UNSET

from functions.separate.audio.encoders import make_encoder, prevent_clipping, rescale_divisor
from functions.separate.output.destination import PART_BYTES
from functions.separate.output.stem_store import StemStore
from functions.separate.output.stems_writer import StemsWriter, open_stems
from functions.separate.stems import Stem
from microdemucs.options import Options
from microdemucs.paths import ROOT
from tests.integration.separate.output.conftest import ReadBytes
from tests.integration.separate.sounds import music

Audio = npt.NDArray[np.float32]
IsOpen = Callable[[str], bool]

STEMS = [Stem("one", (0,)), Stem("no_one", (1, 2))]
FILES = ["one.wav", "no_one.wav"]
BLOCK = 258_000
SOURCES: Audio = np.stack([music(30, seed=seed).T for seed in range(3)]) * np.float32(0.4)
LOUD: Audio = SOURCES * np.array([1, 6, 6], np.float32)[:, None, None]
OPTIONS = [
    Options(format=format_, bits=bits, clip_mode=mode)
    for format_, bits in (("mp3", 16), ("flac", 16), ("flac", 24), ("wav", 16), ("wav", 32))
    for mode in ("rescale", "clamp", "none")
]


def encode_at_once(audio: Audio, options: Options) -> bytes:
    """Return the file of `audio` [2, n], encoded when all of it is known."""
    with tempfile.TemporaryFile() as file:
        encoder = make_encoder(options, file, audio.shape[1], 7)
        divisor = rescale_divisor(np.abs(audio).max())
        is_float = (options.format, options.bits) == ("wav", 32)
        encoder.write(prevent_clipping(audio, options.clip_mode, divisor, is_float=is_float))
        encoder.close()
        file.seek(0)
        return file.read()


def blocks_of(sources: Audio) -> Iterator[Audio]:
    for start in range(0, sources.shape[-1], BLOCK):
        yield sources[..., start : start + BLOCK].copy()


@contextmanager
def written(stem_store: StemStore, sources: Audio, options: Options) -> Iterator[StemsWriter]:
    """Yield the writer of stems of which all blocks are encoded."""
    with open_stems(stem_store, STEMS, options, sources.shape[-1]) as writer:
        for block in blocks_of(sources):
            writer.write(block)
        writer.wait()
        yield writer


@pytest.mark.parametrize("sources", [SOURCES, LOUD], ids=["quiet", "loud"])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: f"{o.format}{o.bits}-{o.clip_mode}")
def test_the_stems_have_the_bytes_that_they_have_when_encoded_at_once(
    stem_store: StemStore, stored: ReadBytes, options: Options, sources: Audio
) -> None:
    with written(stem_store, sources, options) as writer:
        is_rescaled = sources is LOUD and options.clip_mode == "rescale"
        names = [stem.name for stem in writer.needing_reencoding]
        assert names == (["no_one"] if is_rescaled else [])
        writer.reencode(lambda share: None)
        entries = writer.finish()
    stem_store.remove_previews()
    expected = {
        f"one.{options.format}": encode_at_once(sources[0], options),
        f"no_one.{options.format}": encode_at_once(sources[1] + sources[2], options),
    }
    assert stored() == expected
    assert [entry.size for entry in entries] == [len(data) for data in expected.values()]
    assert [entry.scale is not UNSET for entry in entries] == [False, is_rescaled]


def test_the_progress_of_reencoding_is_that_of_all_stems(stem_store: StemStore) -> None:
    progress: list[float] = []
    both_loud = LOUD * np.array([6, 1, 1], np.float32)[:, None, None]
    with written(stem_store, both_loud, Options(format="wav")) as writer:
        writer.reencode(progress.append)
    assert 0.9 < max(progress) < 1
    assert min(progress) == 0


def test_no_stem_exists_before_all_are_finished(
    stem_store: StemStore, stored: ReadBytes, open_uploads: IsOpen
) -> None:
    sources = np.concatenate([SOURCES] * 3, axis=-1)
    with written(stem_store, sources, Options(format="wav")) as writer:
        assert [open_uploads(name) for name in FILES] == [True, True]
        assert [name for name in stored() if not name.startswith(".live/")] == []
        writer.finish()
        assert set(FILES) <= set(stored())
    assert [open_uploads(name) for name in FILES] == [False, False]


def test_a_stem_of_more_than_two_parts_is_one_object(
    stem_store: StemStore, stored: ReadBytes
) -> None:
    sources = np.concatenate([SOURCES] * 5, axis=-1)
    options = Options(format="wav")
    with written(stem_store, sources, options) as writer:
        writer.finish()
    data = stored()["one.wav"]
    assert len(data) > 4 * PART_BYTES
    assert data == encode_at_once(sources[0], options)


@pytest.mark.parametrize("clip_mode", ["none", "rescale"])
def test_uploads_that_are_not_finished_are_aborted(
    stem_store: StemStore, stored: ReadBytes, open_uploads: IsOpen, clip_mode: str
) -> None:
    sources = np.concatenate([SOURCES] * 3, axis=-1)
    with written(stem_store, sources, Options(format="wav", clip_mode=clip_mode)):
        assert [open_uploads(name) for name in FILES] == [True, True]
    assert [open_uploads(name) for name in FILES] == [False, False]
    stem_store.remove_previews()
    assert stored() == {}


def test_the_writer_of_stems_does_not_import_the_clients_of_store_and_bus() -> None:
    """They take longer to import than the model to load."""
    program = "import sys, functions.separate.output.stems_writer; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"minio", "nats", "flask"} & set(output.split())
