"""One bucket of the object store, with the store's errors mapped to ours."""

import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import BinaryIO
from xml.etree.ElementTree import Element, SubElement, tostring

from minio import Minio
from minio.commonconfig import CopySource
from minio.datatypes import CompleteMultipartUploadResult, Object, Part, PostPolicy
from minio.deleteobjects import DeleteObject
from minio.helpers import ObjectWriteResult
from urllib3 import BaseHTTPResponse

from microdemucs.problems import RetryLater
from microdemucs.store import ObjectChanged, map_store_errors

CHUNK_BYTES = 1 << 18
_METADATA_PREFIX = "x-amz-meta-"


def user_metadata(stat: Object) -> dict[str, str]:
    """Return an object's user metadata, names in lower case and without x-amz-meta-."""
    return {
        name.lower().removeprefix(_METADATA_PREFIX): str(value)
        for name, value in (stat.metadata or {}).items()
        if name.lower().startswith(_METADATA_PREFIX)
    }


def etag_of(found: Object) -> str:
    """Return the eTag of an object that was listed or looked up, without quotes."""
    return (found.etag or "").strip('"')


class Download:
    """An object's bytes as they come. Methods raise RetryLater."""

    def __init__(self, response: BaseHTTPResponse) -> None:
        self._response = response

    @property
    def size(self) -> int:
        """How many bytes the store announced, 0 if it did not say."""
        return int(self._response.headers.get("Content-Length", 0))

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; b"" at the end."""
        with map_store_errors():
            return self._response.read(size)

    def chunks(self, size: int = CHUNK_BYTES) -> Iterator[bytes]:
        """All that is left."""
        while data := self.read(size):
            yield data


class Bucket:
    """The objects of one bucket.

    Every method raises RetryLater if the store cannot be used now, and ObjectChanged if the object
    is missing or is not the one that was asked for.
    """

    def __init__(self, client: Minio, name: str) -> None:
        self.client = client
        self.name = name

    def exists(self) -> bool:
        """Whether there is such a bucket."""
        with map_store_errors():
            return self.client.bucket_exists(self.name)

    def stat(self, key: str) -> Object:
        """Return the object's size, eTag, version, time, type and metadata."""
        with map_store_errors():
            return self.client.stat_object(self.name, key)

    def read(self, key: str, most: int = sys.maxsize) -> bytes | None:
        """Return at least the first `most` bytes of an object, or all; None if there is none.

        Little more than `most` bytes is read: an object that should be small may be huge.
        """
        data = bytearray()
        try:
            with self.download(key) as download:
                for chunk in download.chunks():
                    data += chunk
                    if len(data) >= most:
                        break
            return bytes(data)
        except ObjectChanged:
            return None

    def write(self, key: str, data: bytes, content_type: str) -> ObjectWriteResult:
        """Put a small object."""
        return self.put(key, io.BytesIO(data), len(data), content_type)

    def put(
        self,
        key: str,
        file: BinaryIO,
        size: int,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectWriteResult:
        """Put `size` bytes of `file`, with user metadata."""
        with map_store_errors():
            return self.client.put_object(
                self.name, key, file, size, content_type, metadata=dict(metadata or {})
            )

    def put_if(
        self, key: str, data: bytes, content_type: str, condition: Mapping[str, str]
    ) -> ObjectWriteResult:
        """Put a small object on a condition: the header If-Match or If-None-Match.

        Raises ObjectChanged if the condition is not met. minio-py's public put_object has no such
        headers, so this calls the private method that it is made of.
        """
        headers: dict[str, str | list[str] | tuple[str]] = {
            "Content-Type": content_type,
            **condition,
        }
        with map_store_errors():
            return self.client._put_object(self.name, key, data, headers)

    def complete_upload_if(
        self, key: str, upload_id: str, parts: Sequence[Part], condition: Mapping[str, str]
    ) -> str:
        """Make the object of a multipart upload on a condition, as `put_if` does; return its eTag.

        Raises ObjectChanged if the condition is not met.
        """
        root = Element("CompleteMultipartUpload")
        for part in parts:
            element = SubElement(root, "Part")
            SubElement(element, "PartNumber").text = str(part.part_number)
            SubElement(element, "ETag").text = f'"{part.etag}"'
        with map_store_errors():
            response = self.client._execute(
                "POST",
                self.name,
                key,
                body=tostring(root),
                headers={"Content-Type": "application/xml", **condition},
                query_params={"uploadId": upload_id},
            )
            return CompleteMultipartUploadResult(response).etag or ""

    @contextmanager
    def download(
        self, key: str, *, offset: int = 0, size: int = 0, etag: str = "", version: str = ""
    ) -> Iterator[Download]:
        """Open `size` bytes of the object (0: all) from `offset` on; the context closes them.

        With `version` or `etag` it is that very object, else ObjectChanged is raised.
        """
        with map_store_errors():
            response = self.client.get_object(
                self.name,
                key,
                offset,
                size,
                request_headers={"If-Match": f'"{etag}"'} if etag and not version else {},
                version_id=version or None,
            )
        try:
            yield Download(response)
        finally:
            response.close()
            response.release_conn()

    def download_file(self, key: str, path: str) -> None:
        """Write the object's bytes to the file `path`."""
        with map_store_errors():
            self.client.fget_object(self.name, key, path)

    def copy(self, key: str, to: str) -> ObjectWriteResult:
        """Copy an object within the bucket, without its bytes passing through this process."""
        with map_store_errors():
            return self.client.copy_object(self.name, to, CopySource(self.name, key))

    def list(self, prefix: str = "", *, recursive: bool = True) -> list[Object]:
        """List the objects whose keys begin with `prefix`; a folder is one unless `recursive`."""
        with map_store_errors():
            return [*self.client.list_objects(self.name, prefix, recursive=recursive)]

    def remove(self, key: str) -> None:
        """Remove the object, if it is there."""
        with map_store_errors():
            self.client.remove_object(self.name, key)

    def remove_prefix(self, prefix: str) -> None:
        """Remove every object whose key begins with `prefix`."""
        objects = [DeleteObject(str(found.object_name)) for found in self.list(prefix)]
        with map_store_errors():
            errors = [*self.client.remove_objects(self.name, objects)] if objects else []
        if errors:
            raise RetryLater(
                "store-away", "The store cannot be used now", "it did not remove some objects"
            )

    def presigned_url(self, key: str, expires: timedelta, headers: Mapping[str, str]) -> str:
        """Return a URL that reads the object without credentials.

        `headers` replace those of the response.
        """
        return self.client.presigned_get_object(
            self.name,
            key,
            expires=expires,
            response_headers=dict(headers),
        )

    def presigned_post(
        self,
        fields: Mapping[str, str],
        prefixes: Mapping[str, str],
        max_bytes: int,
        expires: datetime,
    ) -> dict[str, str]:
        """Return the form fields that let a browser POST one object without credentials.

        The store accepts the form only if it has `fields` (the object's key among them), if the
        fields in `prefixes` begin with these values, and if the file has 1 to `max_bytes` bytes.
        The caller adds the fields of both mappings to the form.
        """
        policy = PostPolicy(self.name, expires)
        for name, value in fields.items():
            policy.add_equals_condition(name, value)
        for name, prefix in prefixes.items():
            policy.add_starts_with_condition(name, prefix)
        policy.add_content_length_range_condition(1, max_bytes)
        return self.client.presigned_post_policy(policy)
