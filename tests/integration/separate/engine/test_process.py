"""What numpy asks of the kernel in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from microdemucs.paths import ROOT

HAS_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled").exists()
# proc_pid_smaps(5): "hg" is the flag of memory that should have huge pages
PROGRAM = """
{first}
import numpy as np
samples = np.ones(1 << 24, np.float32)
lines = open("/proc/self/smaps").read().splitlines()
print(any("hg" in line.split() for line in lines if line.startswith("VmFlags:")))
"""


def asks_for_huge_pages(first: str) -> bool:
    """Return whether numpy asks for huge pages for a large array, after the import `first`."""
    environment = {k: v for k, v in os.environ.items() if k != "NUMPY_MADVISE_HUGEPAGE"}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(first=first)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return ended.stdout == "True\n"


def test_an_engine_has_small_pages() -> None:
    assert not asks_for_huge_pages("import functions.separate.engine")


@pytest.mark.xfail(not HAS_HUGE_PAGES, reason="this kernel has no huge pages")
def test_numpy_would_ask_for_huge_pages() -> None:
    assert asks_for_huge_pages("")
