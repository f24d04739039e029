"""What one event asks for. Pure: nothing is read or written here."""

from dataclasses import dataclass
from typing import Any

from cloudevents.http import CloudEvent

from microdemucs.events import RANGE, MalformedMessage, ObjectCreated, object_from_record
from microdemucs.jobs import job_id
from microdemucs.options import Options
from microdemucs.problems import Problem, Rejected

# S3 allows keys of 1024 bytes, and a stem's name comes after the song's.
_LONGEST_KEY = 1000


@dataclass(frozen=True, slots=True)
class Job:
    """One separation. `trace` is the 32 hex digits of the event's W3C trace, or "".

    `part` is what the event says where it asks for a range of the song only.
    """

    id: str
    song: ObjectCreated
    trace: str
    callback: str
    part: dict[str, Any] | None = None

    @staticmethod
    def of(event: CloudEvent) -> "Job":
        """Raises Problem where the event does not speak of a new object."""
        said: Any = event.get_data()
        try:
            part = said if event["type"] == RANGE else None
            song = object_from_record(said["song"] if part else said)
        except (MalformedMessage, TypeError, KeyError) as error:
            raise Problem(400, "no-song", "The event speaks of no new object") from error
        parts = str(event.get_attributes().get("traceparent", "")).split("-")
        trace = parts[1] if len(parts) >= 4 else ""
        return Job(job_id(song), song, trace, song.metadata.get("callback", ""), part)

    def options(self) -> Options:
        """Raises Rejected, of which BadOption is one."""
        if len(self.song.key.encode()) > _LONGEST_KEY:
            raise Rejected(
                "key-too-long",
                "The song's key leaves no room for its stems' names",
                f"it has {len(self.song.key.encode())} bytes; {_LONGEST_KEY} are accepted",
            )
        return Options.of_metadata(self.song.metadata)

    def described(self) -> dict[str, Any]:
        """The song as manifest.json and failure.json name it."""
        song = self.song
        return {
            "bucket": song.bucket,
            "key": song.key,
            "etag": song.etag,
            "version": song.version,
            "size": song.size,
        }
