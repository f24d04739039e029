"""Publish what can be heard of a stem before it is finished, as small objects: preview chunks.

They are under `<song's key>/.live/<file name>/` while the job runs; functions/upload streams them.
A listener then continues with the finished object, so the end of a stem is never a chunk.
"""

import os
from typing import BinaryIO

from functions.separate.output.destination import PREVIEW_INTERVAL
from functions.separate.output.fence import NO_FENCE, Fence
from microdemucs.bucket import Bucket
from microdemucs.jobs import preview_key
from microdemucs.keys import fits

_CONTENT_TYPE = "application/octet-stream"


class Preview:
    """The preview chunks of one stem. There are none if their keys would be too long for S3."""

    def __init__(
        self,
        stems: Bucket,
        song_key: str,
        file_name: str,
        file: BinaryIO,
        fence: Fence = NO_FENCE,
    ) -> None:
        self._stems = stems
        self._song_key = song_key
        self._file_name = file_name
        self._file = file
        self._fence = fence
        self._chunks = 0
        self._sent_bytes = 0
        self._next = 0  # samples: how many must be encoded before the next chunk

    @property
    def unread(self) -> int | None:
        """From which byte on the file is needed for the next chunks; None if there are none."""
        is_possible = fits(preview_key(self._song_key, self._file_name, self._chunks + 1))
        return self._sent_bytes if is_possible else None

    def grown(self, size: int, encoded: int) -> None:
        """Publish a chunk if it is time; the file has `size` bytes now, of `encoded` samples.

        Call it only if more samples follow. Raises RetryLater.
        """
        key = preview_key(self._song_key, self._file_name, self._chunks + 1)
        if encoded < self._next or size == self._sent_bytes or not fits(key):
            return
        data = os.pread(self._file.fileno(), size - self._sent_bytes, self._sent_bytes)
        self._fence.ensure_held()
        self._stems.write(key, data, _CONTENT_TYPE)
        self._chunks, self._sent_bytes = self._chunks + 1, size
        self._next = encoded + PREVIEW_INTERVAL
