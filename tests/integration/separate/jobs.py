"""Jobs for tests: put songs, put them again, and act in the middle of a run."""

import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

import pytest

from functions.separate.job import Job
from functions.separate.progress import ProgressReporter
from microdemucs.jobs import JobRecord
from microdemucs.manifest import Failure, Manifest
from microdemucs.messages import Finished
from tests.integration.separate import sounds


class PutSong(Protocol):
    """Puts a song under the test's own name, and returns the job that its event requests."""

    def __call__(
        self, data: bytes, key: str = "song.wav", bucket: str = "songs", **metadata: str
    ) -> Job: ...


ReadObjects = Callable[[Job], dict[str, str]]
"""Returns the objects beside a job's song, name → eTag."""

ReadManifest = Callable[[Job], Manifest]
ReadFailure = Callable[[Job], Failure]
ReadRecord = Callable[[Job], JobRecord]

ReadFinished = Callable[[Job], list[Finished]]
"""Returns the messages for the callbacks of a job, oldest first."""


def unique_song(request: pytest.FixtureRequest, kind: str = "WAV") -> bytes:
    """Return a song that no other test has, so that its stems are never reused."""
    number = zlib.crc32(request.node.nodeid.encode())
    samples = sounds.music(1, seed=number % 997)
    samples[0] += (number % 5000) / 32768  # two tests may have the same seed
    return sounds.file(samples, kind=kind)


def put_again_later(job: Job) -> Job:
    """Return the job of the same song, put again an hour later."""
    time = datetime.fromisoformat(job.song.time) + timedelta(hours=1)
    return replace(job, song=replace(job.song, time=time.isoformat()))


def at_phase(
    monkeypatch: pytest.MonkeyPatch, phase: str, act: Callable[[ProgressReporter], object]
) -> None:
    """Call `act` once, when a job begins this phase."""
    raise_if_interrupted = ProgressReporter.raise_if_interrupted
    acted: list[str] = []

    def act_first(progress: ProgressReporter) -> None:
        if progress.record.phase == phase and not acted:
            acted.append(phase)
            act(progress)
        raise_if_interrupted(progress)

    monkeypatch.setattr(ProgressReporter, "raise_if_interrupted", act_first)
