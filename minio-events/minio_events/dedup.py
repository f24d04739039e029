"""Which news is old: the second notification of a bucket, and what comes again after a restart."""

from collections import OrderedDict

_REMEMBERED = 100_000


class Deduplicator:
    """Remembers the latest pieces of news by what their copies have in common.

    It is memory only: after a restart the function itself finds that a job is done.
    """

    def __init__(self) -> None:
        self._owners: OrderedDict[str, int] = OrderedDict()

    def is_duplicate(self, same: str, number: int) -> bool:
        """Whether another message than `number` (its stream sequence) brought this already.

        The first one to ask owns the news: it is in the stream until it is done.
        """
        if not same:
            return False
        owner = self._owners.setdefault(same, number)
        if len(self._owners) > _REMEMBERED:
            self._owners.popitem(last=False)
        return owner != number

    def set_owner(self, same: str, number: int) -> None:
        """Message `number` brings old news on purpose: it is no copy."""
        if same:
            self._owners[same] = number
