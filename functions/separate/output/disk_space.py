"""Give back the disk space of a file's beginning while its end still grows.

What has been uploaded is not read again. Python has no function for Linux's fallocate(2) with
FALLOC_FL_PUNCH_HOLE, so the C library is called.
"""

import ctypes
from typing import BinaryIO

_KEEP_SIZE, _PUNCH_HOLE = 0x01, 0x02  # linux/falloc.h

_fallocate = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
if _fallocate:
    _fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def free_space(file: BinaryIO, start: int, stop: int) -> None:
    """Free the disk space of the bytes from `start` to `stop`; they are zeros from then on.

    The file keeps its size. Nothing happens if the file system cannot do that: the space is free
    when the file is closed.
    """
    if _fallocate and start < stop:
        _fallocate(file.fileno(), _PUNCH_HOLE | _KEEP_SIZE, start, stop - start)
