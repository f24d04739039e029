"""Write objects only as long as this process has the lease.

A process can stand still between a look at its lease and a write, and another one finishes the song
meanwhile. So each object that others read is written on the condition that it is still the one
that this process knows (If-Match and If-None-Match, RFC 9110, section 13.1).
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from functions.separate.lease import Lease, song_busy
from microdemucs.bucket import Bucket
from microdemucs.store import ObjectChanged

_ATTEMPTS = 3

Send = Callable[[Mapping[str, str]], str]
"""Sends the request that makes an object, with these headers, and returns its eTag.

Raises ObjectChanged if the headers' condition is not met, RetryLater.
"""


class Fence(Protocol):
    """What stands between this process and the objects that it writes."""

    def ensure_held(self) -> None:
        """Raise RetryLater if the lease is known to be lost."""

    def commit(self, key: str, send: Send, /) -> None:
        """Make the object at `key` with `send`. Raises RetryLater if the lease is lost."""


class NoFence:
    """Lets everything pass: for objects of which nobody writes another version."""

    def ensure_held(self) -> None:
        """Do nothing."""

    def commit(self, _: str, send: Send, /) -> None:
        """Make the object."""
        send({})


NO_FENCE = NoFence()


class LeaseFence:
    """Lets pass what the owner of the lease writes; for objects with the same content always."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    def ensure_held(self) -> None:
        """Raise RetryLater if the lease is known to be lost."""
        self._lease.ensure_held()

    def commit(self, _: str, send: Send, /) -> None:
        """Make the object with `send`. Raises RetryLater if the lease is lost."""
        self._lease.confirm()
        send({})


class SongFence(LeaseFence):
    """Lets pass what the owner of a song's lease writes beside that song.

    It must be made while the lease is held: it remembers the objects that exist then. Raises
    RetryLater.
    """

    def __init__(self, lease: Lease, stems: Bucket, song_key: str) -> None:
        super().__init__(lease)
        self._stems = stems
        listed = stems.list(f"{song_key}/", recursive=False)
        self._etags = {str(found.object_name): (found.etag or "").strip('"') for found in listed}

    def commit(self, key: str, send: Send, /) -> None:
        """Make the object at `key`, if it has not changed. Raises RetryLater if the lease is lost.

        If it has changed although this process has the lease, somebody removed it, or a process
        without the lease was faster: then it is replaced.
        """
        for _ in range(_ATTEMPTS):
            self._lease.confirm()
            etag = self._etags.get(key)
            try:
                self._etags[key] = send(_condition(etag))
            except ObjectChanged:
                self._refresh(key)
            else:
                return
        raise song_busy()

    def _refresh(self, key: str) -> None:
        try:
            self._etags[key] = (self._stems.stat(key).etag or "").strip('"')
        except ObjectChanged:
            self._etags.pop(key, None)


def _condition(etag: str | None) -> dict[str, str]:
    return {"If-Match": f'"{etag}"'} if etag else {"If-None-Match": "*"}
