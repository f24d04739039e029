"""Tell the decoder's own limit of memory from a file that asks for too much.

FFmpeg answers ENOMEM to both: to a malloc that fails, and to a damaged size that no packet has.
"""

import av.error
import numpy as np

_ENOUGH_BYTES = 64 << 20  # no intact song has a packet or a header as large as this


def raise_at_limit(error: av.error.FFmpegError) -> None:
    """Raise MemoryError if `error` is ENOMEM and this process has reached its limit.

    Otherwise `error` says something about the file.
    """
    if not isinstance(error, MemoryError):
        return
    try:
        np.empty(_ENOUGH_BYTES, np.uint8)  # reserves addresses, and touches no page
    except MemoryError:
        raise MemoryError(str(error)) from error
