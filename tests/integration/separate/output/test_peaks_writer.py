"""The peaks of stems in a real store are those of the samples in their files."""

import io

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from functions.separate.output.stem_store import StemStore
from functions.separate.output.stems_writer import open_stems
from functions.separate.stems import Stem
from microdemucs.manifest import PeaksEntry
from microdemucs.options import Options
from microdemucs.peaks import HOP, Peaks
from tests.integration.separate.output.conftest import ReadBytes
from tests.integration.separate.sounds import music

Audio = npt.NDArray[np.float32]

STEMS = [Stem("one", (0,)), Stem("no_one", (1, 2))]
BLOCK = 258_000
SOURCES: Audio = np.stack([music(50, seed=seed).T for seed in range(3)]) * np.float32(0.4)
LOUD: Audio = SOURCES * np.array([1, 6, 6], np.float32)[:, None, None]
TOTAL = 50 * 25


def write(stem_store: StemStore, sources: Audio, options: Options) -> PeaksEntry:
    """Write the stems of `sources`, and return the entry of their peaks."""
    with open_stems(stem_store, STEMS, options, sources.shape[-1]) as writer:
        for start in range(0, sources.shape[-1], BLOCK):
            writer.write(sources[..., start : start + BLOCK].copy())
        writer.wait()
        writer.reencode(lambda share: None)
        writer.finish()
        return writer.finish_peaks()


def expected(file: bytes) -> npt.NDArray[np.float64]:
    """Return [columns, 3] of a WAV or FLAC, not rounded, times 127."""
    samples, _ = soundfile.read(io.BytesIO(file), dtype="float64", always_2d=True)
    columns = [samples[start : start + HOP] for start in range(0, len(samples), HOP)]
    rows = [[each.min(), each.max(), np.sqrt(np.square(each).mean())] for each in columns]
    return np.clip(np.array(rows), -1, 1) * 127


@pytest.mark.parametrize("sources", [SOURCES, LOUD], ids=["quiet", "loud"])
@pytest.mark.parametrize("clip_mode", ["rescale", "clamp", "none"])
@pytest.mark.parametrize("bits", [16, 32])
def test_the_peaks_are_those_of_the_file(
    stem_store: StemStore, stored: ReadBytes, sources: Audio, clip_mode: str, bits: int
) -> None:
    write(stem_store, sources, Options(format="wav", clip_mode=clip_mode, bits=bits))
    peaks = Peaks.read(stored()["peaks.bin"])
    values = np.frombuffer(peaks.columns, np.int8).reshape(TOTAL, 2, 3)
    tolerance = 0.5 + (1e-4 if bits == 32 else 0.01)  # half a step, and 127 steps of 16 bits
    for number, stem in enumerate(STEMS):
        error = np.abs(values[:, number] - expected(stored()[f"{stem.name}.wav"]))
        assert error.max() <= tolerance, stem.name


def test_the_object_says_what_it_is(stem_store: StemStore, stored: ReadBytes) -> None:
    entry = write(stem_store, SOURCES, Options())
    document = stored()["peaks.bin"]
    header = Peaks.read(document).header
    assert (header.stems, header.total, header.start) == (["one", "no_one"], TOTAL, 0)
    assert header.final
    assert (entry.size, entry.columns, entry.rate) == (len(document), TOTAL, 25)


def test_a_song_that_ends_within_a_column(stem_store: StemStore, stored: ReadBytes) -> None:
    write(stem_store, SOURCES[..., : 3 * HOP + 1], Options())
    peaks = Peaks.read(stored()["peaks.bin"])
    assert (peaks.header.total, peaks.stop) == (4, 4)


def test_new_columns_are_published_while_the_stems_grow(
    stem_store: StemStore, stored: ReadBytes
) -> None:
    seen = []
    with open_stems(stem_store, STEMS, Options(), SOURCES.shape[-1]) as writer:
        for start in range(0, SOURCES.shape[-1], BLOCK):
            writer.write(SOURCES[..., start : start + BLOCK].copy())
            writer.wait()
            seen.append([name for name in stored() if name.startswith(".live/peaks/")])
        writer.finish_peaks()
    # after the first block, and whenever 20 s are full: never at the end
    first, second = (f".live/peaks/{start:08}" for start in (0, 146))
    assert seen == [[first]] * 4 + [[first, second]] * 5
    chunks = [Peaks.read(stored()[name]) for name in (first, second)]
    whole = Peaks.read(stored()["peaks.bin"])
    assert not any(chunk.header.final for chunk in chunks)
    beginning = b"".join(chunk.columns for chunk in chunks)
    assert whole.columns.startswith(beginning)
    assert [(chunk.header.start, chunk.stop) for chunk in chunks] == [(0, 146), (146, 731)]


def test_a_song_of_one_block_has_no_columns_before_its_end(
    stem_store: StemStore, stored: ReadBytes
) -> None:
    with open_stems(stem_store, STEMS, Options(), BLOCK) as writer:
        writer.write(SOURCES[..., :BLOCK].copy())
        writer.wait()
        assert stored() == {}


def test_published_columns_are_removed_with_the_previews(
    stem_store: StemStore, stored: ReadBytes
) -> None:
    write(stem_store, SOURCES, Options())
    stem_store.remove_previews()
    assert set(stored()) == {"one.mp3", "no_one.mp3", "peaks.bin"}
