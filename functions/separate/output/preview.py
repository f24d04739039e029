"""What can be heard of a stem before it is done: its bytes so far, as small objects.

They lie under `<song's key>/.live/<file>/` for as long as the job runs; functions/upload streams
them. A listener goes on with the finished object, so the end of a stem is never a piece.
"""

import io
import os
from typing import BinaryIO

from minio import Minio

from functions.separate.engine import SAMPLE_RATE
from microdemucs.jobs import preview_key
from microdemucs.store import map_store_errors

_EVERY = 20 * SAMPLE_RATE  # samples: often enough to listen along, seldom enough to cost little
_LONGEST_KEY = 1024  # bytes, in S3


class Preview:
    """Those of one stem. Methods raise RetryLater."""

    def __init__(self, store: Minio, bucket: str, song_key: str, name: str, file: BinaryIO) -> None:
        self._store = store
        self._bucket = bucket
        self._song = song_key
        self._name = name
        self._file = file
        self._there = 0
        self._sent = 0  # bytes
        self._next = 0  # samples: how many must be encoded for the next piece

    def grown(self, size: int, encoded: int) -> None:
        """The file has `size` bytes now, of `encoded` samples, and more are to come."""
        key = preview_key(self._song, self._name, self._there + 1)
        if encoded < self._next or size == self._sent or len(key.encode()) > _LONGEST_KEY:
            return
        data = os.pread(self._file.fileno(), size - self._sent, self._sent)
        with map_store_errors():
            self._store.put_object(self._bucket, key, io.BytesIO(data), len(data))
        self._there, self._sent, self._next = self._there + 1, size, encoded + _EVERY
