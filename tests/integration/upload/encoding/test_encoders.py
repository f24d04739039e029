"""Encodings with a real bucket: slots and disk space are given back however an encoding ends."""

import tempfile
import uuid

import numpy as np
import pytest

from functions.upload.encoding.encoders import Encoders, Order
from functions.upload.encoding.task import Gains, Output
from functions.upload.stored_stem import StoredStem
from functions.upload.upload_space import UploadSpace
from microdemucs.bucket import etag_of
from microdemucs.manifest import StemEntry
from microdemucs.problems import Problem, RetryLater
from testing.encoded_stems import encode, make_samples
from testing.job_writer import JobWriter

FLAC = encode(make_samples(1, 44_100), format="flac")


def order(job_writer: JobWriter, data: bytes = FLAC, etag: str = "") -> Order:
    key = f"{uuid.uuid4().hex}.mp3/drums.flac"
    job_writer.stems.write(key, data, "audio/flac")
    entry = StemEntry("drums", key, len(data), "audio/flac")
    stored = StoredStem(entry, etag or etag_of(job_writer.stems.stat(key)), len(data))
    return Order(Output.FLAC, [stored], [Gains()], 1.0)


@pytest.fixture
def space() -> UploadSpace:
    return UploadSpace(10_000_000)


def test_an_encoding_takes_a_slot_until_it_is_made_and_its_space_until_it_is_closed(
    job_writer: JobWriter, space: UploadSpace
) -> None:
    encoders = Encoders(1, space)
    first = encoders.start(job_writer.stems, order(job_writer))
    assert space.used > 0
    assert first.wait(60)
    second = encoders.start(job_writer.stems, order(job_writer))
    first.close()
    second.close()
    assert space.used == 0


def test_beyond_the_limit_nothing_is_started(job_writer: JobWriter, space: UploadSpace) -> None:
    encoders = Encoders(1, space)
    long = encode(np.concatenate([make_samples(1, 441_000)] * 20, axis=1), format="flac")
    first = encoders.start(job_writer.stems, order(job_writer, long))
    used = space.used
    with pytest.raises(RetryLater) as caught:
        encoders.start(job_writer.stems, order(job_writer))
    assert caught.value.kind == "too-many-mixes"
    assert space.used == used
    first.close()
    encoders.start(job_writer.stems, order(job_writer)).close()


def test_without_disk_space_the_slot_stays_free(job_writer: JobWriter) -> None:
    full = Encoders(1, UploadSpace(1000))
    for _ in range(2):
        with pytest.raises(RetryLater) as caught:
            full.start(job_writer.stems, order(job_writer))
        assert caught.value.kind == "no-room"


def test_what_cannot_be_started_keeps_neither_slot_nor_space(
    job_writer: JobWriter, space: UploadSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoders = Encoders(1, space)
    monkeypatch.setattr(tempfile, "tempdir", "/a/folder/that/does/not/exist")
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            encoders.start(job_writer.stems, order(job_writer))
    monkeypatch.undo()
    assert space.used == 0
    encoders.start(job_writer.stems, order(job_writer)).close()


@pytest.mark.parametrize(
    ("data", "etag", "kind"),
    [(b"no audio", "", "unreadable-stem"), (FLAC, "0" * 32, "changed")],
    ids=["hand-made", "replaced"],
)
def test_an_encoding_that_fails_says_why_and_frees_all(
    job_writer: JobWriter, space: UploadSpace, data: bytes, etag: str, kind: str
) -> None:
    encoders = Encoders(1, space)
    for _ in range(2):
        encoding = encoders.start(job_writer.stems, order(job_writer, data, etag))
        with pytest.raises(Problem) as caught:
            encoding.wait(60)
        assert caught.value.kind == kind
        encoding.close()
    assert space.used == 0
