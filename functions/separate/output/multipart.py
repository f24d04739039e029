"""Upload an object part by part while its file still grows (S3's multipart upload).

The first part is sent last, since an encoder may rewrite its header at the end. A file that is
smaller than two parts is put at once.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import BinaryIO

from minio.datatypes import Part

from functions.separate.output.destination import PART_BYTES
from functions.separate.output.fence import NO_FENCE, Fence
from microdemucs.bucket import Bucket
from microdemucs.problems import RetryLater
from microdemucs.store import ObjectChanged, map_store_errors


class Upload:
    """One object that is being uploaded. Methods raise RetryLater, also if `fence` does.

    Nothing is at its key before `finish` has returned. minio-py's public put_object needs the
    complete file and sends its parts in order, so this class calls the private methods that
    put_object is made of.
    """

    def __init__(
        self,
        bucket: Bucket,
        key: str,
        content_type: str,
        file: BinaryIO,
        fence: Fence = NO_FENCE,
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._content_type = content_type
        self._file = file
        self._fence = fence
        self._id = ""
        self._parts: dict[int, Part] = {}

    @property
    def uploaded(self) -> int:
        """Up to which byte the file has been uploaded, but for its first part."""
        return (len(self._parts) + 1) * PART_BYTES if self._parts else 0

    def grown(self, size: int) -> None:
        """Upload every complete part but the first; the file has `size` bytes now."""
        while size >= (len(self._parts) + 2) * PART_BYTES:
            self._send(len(self._parts) + 2)

    def finish(self) -> int:
        """Upload the rest, make the object, and return its size in bytes."""
        size = os.fstat(self._file.fileno()).st_size
        if size < 2 * PART_BYTES:
            self._fence.commit(self._key, lambda condition: self._put(size, condition))
            return size
        self.grown(size)
        if size > (len(self._parts) + 1) * PART_BYTES:
            self._send(len(self._parts) + 2)
        self._send(1)
        parts = [self._parts[number] for number in sorted(self._parts)]
        self._fence.commit(
            self._key,
            lambda condition: self._bucket.complete_upload_if(
                self._key, self._id, parts, condition
            ),
        )
        self._id = ""
        return size

    def abort(self) -> None:
        """Remove what was uploaded. The upload may begin again.

        If the store is away, it keeps the parts, which nobody can see, until it expires them.
        """
        if self._id:
            with suppress(ObjectChanged, RetryLater), map_store_errors():
                self._bucket.client._abort_multipart_upload(self._bucket.name, self._key, self._id)
        self._id, self._parts = "", {}

    def _put(self, size: int, condition: Mapping[str, str]) -> str:
        data = os.pread(self._file.fileno(), size, 0)
        return self._bucket.put_if(self._key, data, self._content_type, condition).etag or ""

    def _send(self, number: int) -> None:
        self._fence.ensure_held()
        data = os.pread(self._file.fileno(), PART_BYTES, (number - 1) * PART_BYTES)
        client, name = self._bucket.client, self._bucket.name
        with map_store_errors():
            if not self._id:
                headers: dict[str, str | list[str] | tuple[str]] = {
                    "Content-Type": self._content_type
                }
                self._id = client._create_multipart_upload(name, self._key, headers)
            etag = client._upload_part(name, self._key, data, None, self._id, number)
        self._parts[number] = Part(number, etag)
