"""ENOMEM is the file's damage as long as the process has memory left, with real limits."""

import subprocess
import sys

import pytest

from microdemucs.paths import ROOT

TRY = """
import errno, resource, sys
import av.error
from functions.separate.audio.memory_limit import raise_at_limit
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
left = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (used + left, used + left))
try:
    raise_at_limit(getattr(av.error, sys.argv[2])(errno.ENOMEM, "no memory"))
    print("nothing")
except MemoryError as error:
    print(type(error).__name__, isinstance(error, av.error.FFmpegError))
"""


@pytest.mark.parametrize(
    ("megabytes_left", "error", "raised"),
    [
        (512, "MemoryError", "nothing"),
        (8, "MemoryError", "MemoryError False"),
        (8, "InvalidDataError", "nothing"),
    ],
)
def test_only_a_process_at_its_limit_has_no_memory(
    megabytes_left: int, error: str, raised: str
) -> None:
    command = [sys.executable, "-c", TRY, str(megabytes_left << 20), error]
    ended = subprocess.run(command, capture_output=True, cwd=ROOT, check=True)
    assert ended.stdout.decode().strip() == raised
