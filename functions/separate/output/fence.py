"""Write objects only as long as this process has the lease.

A process can stand still between a look at its lease and a write, and another one finishes the song
meanwhile. So each object that others read is written on the condition that it is still the one
that this process knows (If-Match and If-None-Match, RFC 9110, section 13.1).
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from functions.separate.lease import Lease, song_busy
from microdemucs.bucket import Bucket, etag_of
from microdemucs.store import ObjectChanged

_ATTEMPTS = 3

Send = Callable[[Mapping[str, str]], str]
"""Sends the request that makes an object, with these headers, and returns its eTag.

Raises ObjectChanged if the headers' condition is not met, RetryLater.
"""

IsDone = Callable[[], bool]
"""Returns whether another run of the same job has made the object. Raises RetryLater."""


def never() -> bool:
    """Return False: no other run makes this object."""
    return False


class Fence(Protocol):
    """What stands between this process and the objects that it writes."""

    def ensure_held(self) -> None:
        """Raise RetryLater if the lease is known to be lost."""

    def may_remove(self, key: str, etag: str, /) -> bool:
        """Return whether the object at `key`, with this eTag, may be removed."""

    def commit(self, key: str, send: Send, /, is_done: IsDone = never) -> bool:
        """Make the object at `key` with `send`. Raises RetryLater if the lease is lost.

        Return False if another run has made it already, by `is_done`.
        """


class NoFence:
    """Lets everything pass: for objects of which nobody writes another version."""

    def ensure_held(self) -> None:
        """Do nothing."""

    def may_remove(self, _: str, etag: str, /) -> bool:  # noqa: ARG002
        """Return True."""
        return True

    def commit(self, _: str, send: Send, /, is_done: IsDone = never) -> bool:  # noqa: ARG002
        """Make the object."""
        send({})
        return True


NO_FENCE = NoFence()


class LeaseFence:
    """Lets pass what the owner of the lease writes; for objects with the same content always."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    def ensure_held(self) -> None:
        """Raise RetryLater if the lease is known to be lost."""
        self._lease.ensure_held()

    def may_remove(self, _: str, etag: str, /) -> bool:  # noqa: ARG002
        """Return whether the lease is not known to be lost."""
        return not self._lease.is_lost

    def commit(self, _: str, send: Send, /, is_done: IsDone = never) -> bool:  # noqa: ARG002
        """Make the object with `send`. Raises RetryLater if the lease is lost."""
        self._lease.confirm()
        send({})
        return True


class SongFence(LeaseFence):
    """Lets pass what the owner of a song's lease writes and removes beside that song.

    It must be made while the lease is held: it remembers the objects that exist then. Raises
    RetryLater.

    The bus may be away for this process only, and another one takes the lease meanwhile. So as
    long as the bus is away, this process touches nothing but the objects that it remembers.
    """

    def __init__(self, lease: Lease, stems: Bucket, song_key: str) -> None:
        super().__init__(lease)
        self._stems = stems
        listed = stems.list(f"{song_key}/", recursive=False)
        self._etags = {str(found.object_name): etag_of(found) for found in listed}

    def may_remove(self, key: str, etag: str, /) -> bool:
        """Return whether the object is one that this process remembers, or the lease is held."""
        if self._lease.is_lost:
            return False
        return self._etags.get(key) == etag or self._lease.is_held_now()

    def commit(self, key: str, send: Send, /, is_done: IsDone = never) -> bool:
        """Make the object at `key`, if it has not changed. Raises RetryLater if the lease is lost.

        If it has changed although this process has the lease, somebody removed it, or a process
        without the lease was faster: then it is replaced, unless `is_done`.
        """
        for _ in range(_ATTEMPTS):
            self._lease.confirm()
            etag = self._etags.get(key)
            try:
                self._etags[key] = send(_condition(etag))
            except ObjectChanged:
                if not self._lease.is_held_now():
                    raise song_busy() from None
                if is_done():
                    return False
                self._refresh(key)
            else:
                return True
        raise song_busy()

    def _refresh(self, key: str) -> None:
        try:
            self._etags[key] = etag_of(self._stems.stat(key))
        except ObjectChanged:
            self._etags.pop(key, None)


def _condition(etag: str | None) -> dict[str, str]:
    return {"If-Match": f'"{etag}"'} if etag else {"If-None-Match": "*"}
