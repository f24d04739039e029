"""Bucket notifications as CloudEvents.

The mapping is the CloudEvents adapter for AWS S3
(cloudevents/spec, cloudevents/adapters/aws-s3.md), for the message that MinIO sends.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from cloudevents.http import CloudEvent

STARTED = "dev.microdemucs.separation.started"
COMPLETED = "dev.microdemucs.separation.completed"
FAILED = "dev.microdemucs.separation.failed"
DELIVERY = "dev.microdemucs.delivery"
RANGE = "dev.microdemucs.range"

SONG_SUFFIXES = (".mp3", ".wav", ".flac", ".m4a", ".aac", ".ogg", ".opus")

# MinIO reports changes of tags, retention and legal hold as ObjectCreated too: no new bytes.
_NEW_BYTES = {f"ObjectCreated:{how}" for how in ("Put", "Post", "Copy", "CompleteMultipartUpload")}


class MalformedMessage(ValueError):
    """The message is not a bucket notification; the text says where it stops being one."""


@dataclass(frozen=True, slots=True)
class ObjectCreated:
    """One object that has new bytes.

    `size` is in bytes, `time` RFC 3339. `metadata` holds the user metadata, names in lower case
    and without `x-amz-meta-`. `version` is "" in a bucket that keeps no versions.
    """

    bucket: str
    key: str
    size: int
    etag: str
    version: str = ""
    time: str = ""
    content_type: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_song(self) -> bool:
        """By suffix in any case, or by an audio content type; never a folder marker."""
        if self.key.endswith("/"):
            return False
        by_suffix = self.key.lower().endswith(SONG_SUFFIXES)
        return by_suffix or self.content_type.lower().startswith("audio/")


def created_objects(message: bytes) -> Iterator[tuple[CloudEvent, ObjectCreated]]:
    """Yield an event and its object for each object that `message` says has new bytes.

    Raises MalformedMessage where the message is not one.
    """
    try:
        records = json.loads(message)["Records"]
        for record in records:
            action = record["eventName"].removeprefix("s3:")
            if action in _NEW_BYTES:
                created = object_from_record(record)
                yield _event(record, action, created), created
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise MalformedMessage(f"not a bucket notification: {error!r}") from error


def object_from_record(record: Any) -> ObjectCreated:
    """The object that an S3 event record speaks of: the data of an ObjectCreated CloudEvent.

    Raises MalformedMessage where `record` is not one.
    """
    try:
        s3 = record["s3"]
        described = s3["object"]
        version = described.get("versionId", "")
        created = ObjectCreated(
            bucket=s3["bucket"]["name"],
            key=unquote_plus(described["key"]),
            size=described.get("size", 0),
            etag=described["eTag"],
            version="" if version == "null" else version,
            time=record["eventTime"],
            content_type=described.get("contentType", ""),
            metadata={
                name.lower().removeprefix("x-amz-meta-"): value
                for name, value in (described.get("userMetadata") or {}).items()
                if name.lower().startswith("x-amz-meta-")
            },
        )
        _ensure_text(
            *(created.bucket, created.key, created.etag, created.version, created.time),
            *(created.content_type, *created.metadata, *created.metadata.values()),
        )
        if not isinstance(created.size, int):
            raise TypeError("size is not a number")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise MalformedMessage(f"not an S3 event record: {error!r}") from error
    return created


def notification(created: ObjectCreated, request_id: str) -> bytes:
    """The message MinIO would have sent for `created`: what the sweep sends in its stead.

    `request_id` names this sending, as x-amz-request-id does.
    """
    message = {
        "EventName": "s3:ObjectCreated:Put",
        "Key": f"{created.bucket}/{created.key}",
        "Records": [record_of(created, request_id)],
    }
    return json.dumps(message).encode()


def record_of(created: ObjectCreated, request_id: str) -> dict[str, Any]:
    """The S3 event record of such a message: what `object_from_record` reads."""
    described = {
        "key": quote_plus(created.key),
        "size": created.size,
        "eTag": created.etag,
        "contentType": created.content_type,
        "userMetadata": {f"X-Amz-Meta-{name}": value for name, value in created.metadata.items()},
    }
    if created.version:
        described["versionId"] = created.version
    return {
        "eventVersion": "2.0",
        "eventSource": "minio:s3",
        "awsRegion": "",
        "eventTime": created.time,
        "eventName": "s3:ObjectCreated:Put",
        "responseElements": {"x-amz-request-id": request_id, "x-amz-id-2": "sweep"},
        "s3": {"bucket": {"name": created.bucket}, "object": described},
    }


def _ensure_text(*values: Any) -> None:
    """Raises TypeError or ValueError where one is no text that can be written as UTF-8."""
    "".join(values).encode()


def _event(record: Mapping[str, Any], action: str, created: ObjectCreated) -> CloudEvent:
    answer = record["responseElements"]
    _ensure_text(answer["x-amz-request-id"], answer["x-amz-id-2"])
    _ensure_text(record["eventSource"], record["awsRegion"])
    return CloudEvent(
        {
            "id": f"{answer['x-amz-request-id']}.{answer['x-amz-id-2']}",
            "source": f"{record['eventSource']}.{record['awsRegion']}.{created.bucket}",
            "type": f"com.amazonaws.s3.{action}",
            "subject": created.key,
            "time": record["eventTime"],
            "datacontenttype": "application/json",
        },
        record,
    )
