"""What a process may run out of: memory and disk."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from microdemucs.problems import RetryLater

_RETRY_AFTER_S = 30


@contextmanager
def retry_when_out_of_resources() -> Iterator[None]:
    """Raise RetryLater if memory or disk runs out: another process may have more."""
    try:
        yield
    except MemoryError as error:
        raise RetryLater(
            "no-memory", "There is not enough memory for this song", after=_RETRY_AFTER_S
        ) from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise RetryLater(
            "no-disk", "There is not enough disk space for this song", after=_RETRY_AFTER_S
        ) from error
