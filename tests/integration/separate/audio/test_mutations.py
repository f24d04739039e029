"""Damaged files of every format never crash, hang, or turn into noise.

Some hundred in a normal run, two thousand in CI: MUTATIONS is the number of files per format.
"""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from microdemucs.paths import ROOT
from microdemucs.problems import Rejected
from tests.integration.separate.audio.decoding import decoded
from tests.integration.separate.audio.mutations import FORMATS
from tests.integration.separate.sounds import file, music

PER_FORMAT = os.environ.get("MUTATIONS", "10")
MAX_MEMORY_BYTES = 512 * 1024**2


@pytest.fixture(scope="module")
def summary() -> Any:
    """Decode all files from one process, which so knows the memory of its children."""
    command = [sys.executable, "-m", "tests.integration.separate.audio.mutations", PER_FORMAT]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, cwd=ROOT, check=True).stdout)


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_rejected_or_still_the_song(name: str, summary: Any) -> None:
    assert summary["formats"][name]["wrong"] == []


def test_no_damaged_file_needs_much_memory(summary: Any) -> None:
    assert summary["memory_bytes"] < MAX_MEMORY_BYTES


def test_a_song_that_needs_too_much_memory_is_refused_by_the_child_alone() -> None:
    header = bytearray(file(music(3), kind="FLAC"))
    header[4:8] = b"\x06\xff\xff\xff"  # a picture of 16 MB that is not there
    with pytest.raises(Rejected):
        decoded(bytes(header))
