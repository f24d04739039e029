"""A client for the object store (plain S3), and the mapping of its errors to ours.

microdemucs.bucket has the operations.
"""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, S3Error, ServerError

from microdemucs.problems import RetryLater
from microdemucs.settings import StoreSettings

# S3 error codes for an object, a version or a bucket that does not exist.
_MISSING = {"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "NotFound", "MethodNotAllowed"}
_CONNECT_S, _READ_S = 3.0, 60.0


class ObjectChanged(Exception):
    """The object does not exist, or is no longer the one that was requested."""


def connect(settings: StoreSettings, *, public: bool = False) -> Minio:
    """Return a client for the store; with `public`, one whose presigned URLs browsers can reach.

    This sends nothing.
    """
    url = urlsplit(settings.public_url if public else settings.url)
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=_CONNECT_S, read=_READ_S),
        maxsize=16,
        retries=urllib3.Retry(total=2, backoff_factor=0.2, status_forcelist=[502, 503, 504]),
    )
    return Minio(
        url.netloc,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        secure=url.scheme == "https",
        region=settings.region,
        http_client=pool,
    )


@contextmanager
def map_store_errors() -> Iterator[None]:
    """Map store errors: ObjectChanged if the object is missing or was replaced, else RetryLater."""
    try:
        yield
    except S3Error as error:
        if error.code in _MISSING or error.code == "PreconditionFailed":
            raise ObjectChanged(error.code) from error
        raise RetryLater(
            "store-away", "The store cannot be used now", f"the store answered {error.code}"
        ) from error
    except (urllib3.exceptions.HTTPError, InvalidResponseError, ServerError, OSError) as error:
        raise RetryLater("store-away", "The store cannot be reached", after=3) from error


def read_json(store: Minio, bucket: str, key: str) -> dict[str, Any] | None:
    """Return the JSON object at `key`, or None if there is none. Raises RetryLater."""
    try:
        with map_store_errors():
            answer = store.get_object(bucket, key)
            try:
                document = json.loads(answer.read())
            finally:
                answer.close()
                answer.release_conn()
    except (ObjectChanged, json.JSONDecodeError):
        return None
    return document if isinstance(document, dict) else None


def write_json(store: Minio, bucket: str, key: str, document: dict[str, Any], type_: str) -> None:
    """Put `document` at `key` with content type `type_`. Raises RetryLater."""
    body = json.dumps(document, indent=2, ensure_ascii=False).encode()
    with map_store_errors():
        store.put_object(bucket, key, io.BytesIO(body), len(body), content_type=type_)


def remove_all(store: Minio, bucket: str, prefix: str) -> None:
    """Remove every object whose key begins with `prefix`. Raises RetryLater."""
    with map_store_errors():
        there = store.list_objects(bucket, prefix, recursive=True)
        objects = [DeleteObject(str(one.object_name)) for one in there]
        errors = list(store.remove_objects(bucket, objects)) if objects else []
    if errors:
        raise RetryLater(
            "store-away", "The store cannot be used now", "it keeps what is to be removed"
        )
