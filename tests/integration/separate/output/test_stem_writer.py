"""One stem that is written block by block, on a real store."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from msgspec import UNSET

from functions.separate.engine import SAMPLE_RATE
from functions.separate.output.stem_store import StemStore
from functions.separate.output.stem_writer import StemWriter
from microdemucs.options import Options
from testing.disk_need import disk_need
from tests.integration.separate.output.conftest import ReadBytes
from tests.integration.separate.sounds import music, read

Audio = npt.NDArray[np.float32]
OPTIONS = Options(format="wav", bits=32)
QUIET: Audio = music(2).T
LOUD: Audio = QUIET * np.float32(10)


def open_stem(stem_store: StemStore, length: int, options: Options = OPTIONS) -> StemWriter:
    return StemWriter(stem_store, "drums", options, length, mp3_quality=7)


@pytest.fixture
def writer(stem_store: StemStore) -> Iterator[StemWriter]:
    with closing(open_stem(stem_store, QUIET.shape[1])) as writer:
        yield writer


def test_a_quiet_stem_is_written_as_it_is(writer: StemWriter, stored: ReadBytes) -> None:
    writer.write(QUIET)
    entry = writer.finish()
    assert np.array_equal(read(stored()["drums.wav"]).T, QUIET)
    assert (entry.name, entry.content_type, entry.scale) == ("drums", "audio/wav", UNSET)
    assert entry.size == len(stored()["drums.wav"])


def test_a_stem_that_would_clip_needs_reencoding(writer: StemWriter) -> None:
    writer.write(LOUD)
    assert writer.needs_reencoding
    assert writer.divisor == np.float32(1.01) * np.abs(LOUD).max()


def test_a_reencoded_stem_is_divided_by_its_divisor(writer: StemWriter, stored: ReadBytes) -> None:
    writer.write(LOUD)
    writer.reencode(lambda share: None)
    entry = writer.finish()
    assert np.array_equal(read(stored()["drums.wav"]).T, LOUD / writer.divisor)
    assert entry.scale == round(float(1 / writer.divisor), 6)


@pytest.mark.parametrize("clip_mode", ["clamp", "none"])
def test_only_clip_mode_rescale_needs_reencoding(stem_store: StemStore, clip_mode: str) -> None:
    options = Options(format="wav", bits=32, clip_mode=clip_mode)
    with closing(open_stem(stem_store, LOUD.shape[1], options)) as writer:
        writer.write(LOUD)
        assert not writer.needs_reencoding


def test_the_upload_of_a_stem_that_would_clip_is_aborted_at_once(
    stem_store: StemStore, open_uploads: Callable[[str], bool]
) -> None:
    long: Audio = np.concatenate([QUIET] * 20, axis=1)
    with closing(open_stem(stem_store, long.shape[1] + LOUD.shape[1])) as writer:
        writer.write(long)
        assert open_uploads("drums.wav")
        writer.write(LOUD)
        assert not open_uploads("drums.wav")


def test_an_exception_of_the_callback_ends_the_reencoding(writer: StemWriter) -> None:
    def interrupt(share: float) -> None:
        raise InterruptedError

    writer.write(LOUD)
    with pytest.raises(InterruptedError):
        writer.reencode(interrupt)


def test_the_end_of_a_stem_has_no_preview(writer: StemWriter, stored: ReadBytes) -> None:
    writer.write(QUIET)
    assert stored() == {}


def test_the_beginning_of_a_stem_has_a_preview(writer: StemWriter, stored: ReadBytes) -> None:
    writer.write(QUIET[:, :44_100])
    assert list(stored()) == [".live/drums.wav/000001"]


def disk_use() -> int:
    """Return how many bytes the files of this process take that have no name."""
    used = 0
    for fd in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            if os.readlink(fd).endswith(" (deleted)"):
                used += os.stat(fd).st_blocks * 512
    return used


LONG_BLOCKS = 90
"""Three minutes: 64 MB as float wav."""


@pytest.mark.parametrize("mix", [QUIET, LOUD], ids=["quiet", "loud"])
@pytest.mark.parametrize("clip_mode", ["rescale", "none"])
def test_a_long_stem_takes_the_space_of_its_samples_and_little_for_its_encoded_file(
    stem_store: StemStore, mix: Audio, clip_mode: str
) -> None:
    options = Options(format="wav", bits=32, clip_mode=clip_mode)
    length = LONG_BLOCKS * mix.shape[1]
    kept = length if clip_mode == "rescale" else 0
    limit = disk_use() + disk_need(0, kept / SAMPLE_RATE, stems=1)
    with closing(open_stem(stem_store, length, options)) as writer:
        for _ in range(LONG_BLOCKS):
            writer.write(mix)
            assert disk_use() <= limit
        if writer.needs_reencoding:
            writer.reencode(lambda _: None)
            assert disk_use() <= limit
        assert writer.finish().size > 4 * 2 * length


@pytest.mark.parametrize("mix", [QUIET, LOUD], ids=["quiet", "loud"])
@pytest.mark.parametrize("format_", ["wav", "flac"])
def test_a_long_stem_is_stored_whole(
    stem_store: StemStore, stored: ReadBytes, mix: Audio, format_: str
) -> None:
    length = LONG_BLOCKS * mix.shape[1]
    with closing(open_stem(stem_store, length, Options(format=format_, bits=24))) as writer:
        for _ in range(LONG_BLOCKS):
            writer.write(mix)
        if writer.needs_reencoding:
            writer.reencode(lambda _: None)
        writer.finish()
        expected = np.tile(mix, LONG_BLOCKS) / writer.divisor
    found = read(stored()[f"drums.{format_}"]).T
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 2**-22
