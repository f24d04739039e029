"""Objects of a real store: put songs, read JSON."""

import io
import json
from collections.abc import Mapping
from typing import Any

from minio import Minio

from microdemucs.bucket import Bucket
from microdemucs.events import ObjectCreated


def put_song(
    store: Minio,
    key: str,
    body: bytes,
    *,
    bucket: str = "songs",
    content_type: str = "audio/mpeg",
    metadata: Mapping[str, str] | None = None,
) -> ObjectCreated:
    """Put a song and return the event that describes it.

    Underscores in the names of `metadata` become hyphens, so that keyword arguments can name any.
    """
    named = {name.replace("_", "-"): value for name, value in (metadata or {}).items()}
    store.put_object(
        bucket, key, io.BytesIO(body), len(body), content_type, metadata=dict(named) or None
    )
    stat = store.stat_object(bucket, key)
    return ObjectCreated(
        bucket,
        key,
        len(body),
        stat.etag or "",
        version=stat.version_id or "",
        time=stat.last_modified.isoformat() if stat.last_modified else "",
        metadata=named,
    )


def read_json(store: Minio, bucket: str, key: str) -> dict[str, Any] | None:
    """Return the JSON object at `key` as it was written, or None. Raises RetryLater."""
    text = Bucket(store, bucket).read(key)
    document: dict[str, Any] | None = None if text is None else json.loads(text)
    return document
