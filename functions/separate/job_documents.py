"""The manifest and the failure of a job, and the message for its callback."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from msgspec import UNSET, UnsetType, structs

from functions.separate.engine.locate import LocatedModel
from functions.separate.job import Job
from microdemucs.audio_facts import AudioFacts
from microdemucs.bus import FINISHED_SUBJECT, Bus
from microdemucs.jobs import JobRecord
from microdemucs.manifest import (
    CoverEntry,
    Failure,
    Manifest,
    ModelInfo,
    PeaksEntry,
    SeparatedSong,
    StemEntry,
    failure_key,
    manifest_key,
)
from microdemucs.messages import Finished
from microdemucs.problems import Rejected, is_after, now


@dataclass(frozen=True, slots=True)
class AudioMembers:
    """The members of SeparatedSong that decoding gives."""

    seconds: float
    codec: str | UnsetType
    sample_rate: int | UnsetType
    channels: int | UnsetType
    bits: int | UnsetType
    tags: dict[str, str] | UnsetType
    loudness: float | UnsetType = UNSET
    cover: CoverEntry | UnsetType = UNSET

    @staticmethod
    def of(
        found: AudioFacts | SeparatedSong,
        loudness: float | UnsetType = UNSET,
        cover: CoverEntry | UnsetType = UNSET,
    ) -> "AudioMembers":
        """Return those of an audio that was decoded, or of another job's song."""
        bits = UNSET if found.bits is None else found.bits
        return AudioMembers(
            seconds=round(found.seconds, 3),
            codec=found.codec,
            sample_rate=found.sample_rate,
            channels=found.channels,
            bits=bits,
            tags=found.tags,
            loudness=loudness,
            cover=cover,
        )


@dataclass(frozen=True, slots=True)
class StoredStems:
    """The stems in the output bucket, and what the manifest says about the song's audio.

    `peaks` is missing if the stems are copies of stems that have none.
    """

    entries: list[StemEntry]
    audio: AudioMembers
    peaks: PeaksEntry | UnsetType = UNSET
    reused_from: str | UnsetType = UNSET


def manifest_of(
    job: Job,
    record: JobRecord,
    sha256: str,
    stems: StoredStems,
    model: LocatedModel,
    timings: Mapping[str, float],
) -> Manifest:
    """Return the manifest of a job that is done now. `sha256` is that of the song's bytes."""
    return Manifest(
        job=job.id,
        trace=record.trace,
        song=SeparatedSong(
            **structs.asdict(job.stored_song()), sha256=sha256, **asdict(stems.audio)
        ),
        options=record.options,
        created=record.created,
        started=record.started,
        stems=stems.entries,
        peaks=stems.peaks,
        reused_from=stems.reused_from,
        model=ModelInfo(model.name, model.note or UNSET),
        warnings=record.warnings,
        timings=dict(timings),
        finished=_finish_time(job),
    )


def failure_of(job: Job, record: JobRecord, problem: Rejected) -> Failure:
    """Return the failure of a job that fails now."""
    return Failure(
        problem=problem.body(),
        job=job.id,
        trace=record.trace,
        song=job.stored_song(),
        options=record.options,
        created=record.created,
        started=record.started,
        finished=_finish_time(job),
    )


def publish_for_callback(bus: Bus, job: Job, result: Manifest | Failure) -> None:
    """Publish the job's result for the callback of the request that sent this event, if it has one.

    Each request has an event of its own, also if all of them are one job. Raises RetryLater.
    """
    if not job.callback:
        return
    is_failure = isinstance(result, Failure)
    key = failure_key(job.song.key) if is_failure else manifest_key(job.song.key)
    message = Finished(
        job=job.id,
        callback=job.callback,
        key=key,
        document=result.write().decode(),
        trace=job.trace,
    )
    bus.publish(FINISHED_SUBJECT, message.write(), f"{job.id}.{job.callback}:finished")


def _finish_time(job: Job) -> str:
    """Return the current time, or that of the song's event if the store's clock is ahead.

    Then no copy of the event is later than the result, as a new request is.
    """
    time = now()
    return job.song.time if is_after(job.song.time, time) else time
