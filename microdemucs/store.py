"""A client for the object store (plain S3), and the mapping of its errors to ours.

microdemucs.bucket has the operations.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError

from microdemucs.problems import RetryLater
from microdemucs.settings import StoreSettings
from microdemucs.store_connections import StoreConnections

# S3 error codes for an object, a version or a bucket that does not exist.
_MISSING = {"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "NotFound", "MethodNotAllowed"}


class ObjectChanged(Exception):
    """The object does not exist, or is no longer the one that was requested."""


def connect(settings: StoreSettings, *, public: bool = False) -> Minio:
    """Return a client for the store; with `public`, one whose presigned URLs browsers can reach.

    This sends nothing.
    """
    url = urlsplit(settings.public_url if public else settings.url)
    return Minio(
        url.netloc,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        secure=url.scheme == "https",
        region=settings.region,
        http_client=StoreConnections(),
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
