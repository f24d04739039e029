"""What one event requests. Pure: nothing is read or written here."""

from dataclasses import dataclass
from typing import Any

from cloudevents.http import CloudEvent

from microdemucs.events import RANGE, MalformedMessage, ObjectCreated, object_from_record
from microdemucs.jobs import job_id
from microdemucs.keys import LONGEST_SONG_KEY
from microdemucs.manifest import BadDocument, StoredSong
from microdemucs.messages import RangeRequest
from microdemucs.options import Options
from microdemucs.problems import Problem, Rejected
from microdemucs.webhooks import is_callback_id

CALLBACK_IGNORED = (
    "callback ignored: x-amz-meta-callback is no callback's id; send the song to POST "
    "/apiv1/separate, or register a webhook"
)


@dataclass(frozen=True, slots=True)
class UnreadableRange:
    """A range of the song is requested in a form that this version cannot read.

    Another version of this program wrote the message. `reason` says what cannot be read.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Job:
    """One separation. `trace` is the 32 hex digits of the event's W3C trace, or "".

    `callback` is the id of a callback, or "". `range_request` is set if the event requests one
    range of the song, not all of it. `warnings` are for the job's record and manifest.
    """

    id: str
    song: ObjectCreated
    trace: str
    callback: str
    range_request: RangeRequest | UnreadableRange | None = None
    warnings: tuple[str, ...] = ()

    @staticmethod
    def of(event: CloudEvent) -> "Job":
        """Return the job that an event requests.

        Raises Problem (no-song) if the event does not describe a newly created object.
        """
        data: Any = event.get_data()
        is_range = event["type"] == RANGE
        try:
            song = object_from_record(data["song"] if is_range else data)
        except (MalformedMessage, TypeError, KeyError) as error:
            raise Problem(
                400, "no-song", "The event does not describe a newly created object"
            ) from error
        traceparent = str(event.get_attributes().get("traceparent", "")).split("-")
        trace = traceparent[1] if len(traceparent) >= 4 else ""
        request = _read_range_request(data) if is_range else None
        callback = song.metadata.get("callback", "")
        if callback and not is_callback_id(callback):
            return Job(job_id(song), song, trace, "", request, (CALLBACK_IGNORED,))
        return Job(job_id(song), song, trace, callback, request)

    def options(self) -> Options:
        """Return the song's options. Raises Rejected (key-too-long, bad-option)."""
        size = len(self.song.key.encode())
        if size > LONGEST_SONG_KEY:
            raise Rejected(
                "key-too-long",
                "The song's key is too long: the names of its stems come after it",
                f"it has {size} bytes; up to {LONGEST_SONG_KEY} are accepted",
            )
        return Options.of_metadata(self.song.metadata)

    def stored_song(self) -> StoredSong:
        """Return the song as result documents and messages describe it."""
        song = self.song
        return StoredSong(
            bucket=song.bucket,
            key=song.key,
            etag=song.etag,
            version=song.version,
            size=song.size,
        )


def _read_range_request(data: Any) -> RangeRequest | UnreadableRange:
    try:
        return RangeRequest.from_data(data)
    except BadDocument as error:
        return UnreadableRange(str(error))
