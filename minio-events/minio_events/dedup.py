"""Deduplicate notifications: MinIO sends each of them twice, and again after a restart."""

from collections import OrderedDict

_MAX_KEYS = 100_000


class Deduplicator:
    """The newest deduplication keys, each with the message that owns it.

    They are kept in memory only. After a restart the function itself finds that a job is done.
    """

    def __init__(self) -> None:
        self._owners: OrderedDict[str, int] = OrderedDict()

    def is_duplicate(self, key: str, number: int) -> bool:
        """Return whether another message than `number` (its stream sequence) owns `key`.

        The first message with a key owns it; it stays in the stream until it is done.
        """
        if not key:
            return False
        owner = self._owners.setdefault(key, number)
        if len(self._owners) > _MAX_KEYS:
            self._owners.popitem(last=False)
        return owner != number

    def set_owner(self, key: str, number: int) -> None:
        """Make message `number` the owner of `key`: it was replayed, so it is no duplicate."""
        if key:
            self._owners[key] = number
