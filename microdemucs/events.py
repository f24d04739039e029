"""Bucket notifications as CloudEvents.

The mapping is the CloudEvents adapter for AWS S3
(cloudevents/spec, cloudevents/adapters/aws-s3.md), for the message that MinIO sends.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import msgspec
from cloudevents.http import CloudEvent

from microdemucs.formats import is_unrelated
from microdemucs.keys import is_reserved

STARTED = "dev.microdemucs.separation.started"
FINISHED = "dev.microdemucs.separation.finished"
COMPLETED = "dev.microdemucs.separation.completed"
FAILED = "dev.microdemucs.separation.failed"
DELIVERY = "dev.microdemucs.delivery"
RANGE = "dev.microdemucs.range"

# MinIO also reports changes of tags, retention and legal hold as ObjectCreated: no new content.
_NEW_CONTENT = {
    f"ObjectCreated:{how}" for how in ("Put", "Post", "Copy", "CompleteMultipartUpload")
}


class MalformedMessage(ValueError):
    """The message does not have the expected form; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class ObjectCreated:
    """An object with new content.

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
        """Whether to treat the object as a song: every one that is not clearly unrelated.

        Keys that the program uses itself are no songs, either.
        """
        return not (is_reserved(self.key) or is_unrelated(self.key, self.content_type))


def created_objects(message: bytes) -> Iterator[tuple[CloudEvent, ObjectCreated]]:
    """Yield an event and its object for each new object in the notification `message`.

    Raises MalformedMessage.
    """
    try:
        records = msgspec.json.decode(message)["Records"]
        for record in records:
            action = record["eventName"].removeprefix("s3:")
            if action in _NEW_CONTENT:
                created = object_from_record(record)
                yield _event(record, action, created), created
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise MalformedMessage(f"not a bucket notification: {error!r}") from error


def object_from_record(record: Any) -> ObjectCreated:
    """Return the object of an S3 event record, which is the data of an ObjectCreated CloudEvent.

    Raises MalformedMessage.
    """
    try:
        s3 = record["s3"]
        object_ = s3["object"]
        version = object_.get("versionId", "")
        created = ObjectCreated(
            bucket=s3["bucket"]["name"],
            key=unquote_plus(object_["key"]),
            size=object_.get("size", 0),
            etag=object_["eTag"],
            version="" if version == "null" else version,
            time=record["eventTime"],
            content_type=object_.get("contentType", ""),
            metadata={
                name.lower().removeprefix("x-amz-meta-"): value
                for name, value in (object_.get("userMetadata") or {}).items()
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
    """Return the notification that MinIO would send for `created`. The sweep sends it instead.

    `request_id` makes it unique, as x-amz-request-id does.
    """
    message = {
        "EventName": "s3:ObjectCreated:Put",
        "Key": f"{created.bucket}/{created.key}",
        "Records": [record_of(created, request_id)],
    }
    return json.dumps(message).encode()


def record_of(created: ObjectCreated, request_id: str) -> dict[str, Any]:
    """Return `created` as an S3 event record, which `object_from_record` reads."""
    object_ = {
        "key": quote_plus(created.key),
        "size": created.size,
        "eTag": created.etag,
        "contentType": created.content_type,
        "userMetadata": {f"X-Amz-Meta-{name}": value for name, value in created.metadata.items()},
    }
    if created.version:
        object_["versionId"] = created.version
    return {
        "eventVersion": "2.0",
        "eventSource": "minio:s3",
        "awsRegion": "",
        "eventTime": created.time,
        "eventName": "s3:ObjectCreated:Put",
        "responseElements": {"x-amz-request-id": request_id, "x-amz-id-2": "sweep"},
        "s3": {"bucket": {"name": created.bucket}, "object": object_},
    }


def _ensure_text(*values: Any) -> None:
    """Raise TypeError or ValueError unless all are text that can be encoded as UTF-8."""
    "".join(values).encode()


def _event(record: Mapping[str, Any], action: str, created: ObjectCreated) -> CloudEvent:
    elements = record["responseElements"]
    _ensure_text(elements["x-amz-request-id"], elements["x-amz-id-2"])
    _ensure_text(record["eventSource"], record["awsRegion"])
    return CloudEvent(
        {
            "id": f"{elements['x-amz-request-id']}.{elements['x-amz-id-2']}",
            "source": f"{record['eventSource']}.{record['awsRegion']}.{created.bucket}",
            "type": f"com.amazonaws.s3.{action}",
            "subject": created.key,
            "time": record["eventTime"],
            "datacontenttype": "application/json",
        },
        record,
    )
