"""Songs that are asked for again, and what comes between their jobs' phases."""

import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from functions.separate.job import Job
from functions.separate.progress import ProgressReporter
from tests.integration.separate import sounds

Put = Callable[..., Job]


def unlike(request: pytest.FixtureRequest, kind: str = "WAV") -> bytes:
    """A song that no other test has: what was made of it is never there before."""
    return sounds.file(
        sounds.music(1, seed=zlib.crc32(request.node.name.encode()) % 997), kind=kind
    )


def later(job: Job) -> Job:
    """The same song, put again an hour later."""
    time = datetime.fromisoformat(job.song.time) + timedelta(hours=1)
    return replace(job, song=replace(job.song, time=time.isoformat()))


def at(
    monkeypatch: pytest.MonkeyPatch, phase: str, act: Callable[[ProgressReporter], None]
) -> None:
    """Have `act` happen once, as the phase begins."""
    check, done = ProgressReporter.raise_if_interrupted, []

    def acting(report: ProgressReporter) -> None:
        if report.record.phase == phase and not done:
            done.append(phase)
            act(report)
        check(report)

    monkeypatch.setattr(ProgressReporter, "raise_if_interrupted", acting)
