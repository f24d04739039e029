"""The child process alone: what it writes, and with which exit code it ends."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from functions.upload.encoding.task import UNREADABLE, Gains, Output, Source, Task
from microdemucs.audio_tags import AudioTags
from microdemucs.paths import ROOT
from testing.encoded_stems import decode, encode, make_samples

LENGTH = 30_011
STEMS = [make_samples(seed, LENGTH) for seed in range(4)]
NAMES = ("drums", "bass", "other", "vocals")
TAGS = AudioTags("T", cover=b"\x89PNG" + bytes(250_000))
LIMIT = 10_000_000


def run(
    folder: Path, files: list[bytes], output: Output, max_bytes: int = LIMIT
) -> tuple[int, bytes]:
    """Return the exit code, and what the process has written to a file."""
    sources = []
    for number, data in enumerate(files):
        path = folder / f"{number}.flac"
        path.write_bytes(data)
        sources.append(Source(NAMES[number], os.open(path, os.O_RDONLY), "flac", Gains()))
    task = Task(output, sources, 16, TAGS, 60, max_bytes)
    command = [sys.executable, "-m", "functions.upload.encoding.encoder_process"]
    (folder / "task").write_bytes(msgspec.json.encode(task))
    with (folder / "result").open("w+b") as file, (folder / "task").open("rb") as input_:
        process = subprocess.run(
            command,
            stdin=input_,
            stdout=file,
            stderr=subprocess.DEVNULL,
            pass_fds=[source.fd for source in sources],
            cwd=ROOT,
        )
    for source in sources:
        os.close(source.fd)
    return process.returncode, (folder / "result").read_bytes()


@pytest.mark.parametrize("output", list(Output))
def test_the_result_is_the_sum_of_the_stems(tmp_path: Path, output: Output) -> None:
    code, data = run(tmp_path, [encode(stem, format="flac") for stem in STEMS], output)
    assert code == 0
    error = decode(data)[:, :LENGTH] - np.sum(STEMS, axis=0)
    assert np.abs(error).max() < 0.1


@pytest.mark.parametrize("data", [b"", b"no audio", b"fLaC" + bytes(10_000)])
def test_a_stem_that_cannot_be_decoded_has_an_exit_code_of_its_own(
    tmp_path: Path, data: bytes
) -> None:
    code, _ = run(tmp_path, [encode(STEMS[0], format="flac"), data], Output.MP3)
    assert code == UNREADABLE


def test_the_file_never_grows_beyond_its_limit(tmp_path: Path) -> None:
    code, data = run(tmp_path, [encode(STEMS[0], format="flac")], Output.FLAC, max_bytes=5000)
    assert code not in (0, UNREADABLE)
    assert len(data) <= 5000


def test_it_has_neither_numpy_nor_the_servers_modules(tmp_path: Path) -> None:
    imports = (
        "import sys, functions.upload.encoding.encoder_process; "
        "print(*(m for m in ('numpy', 'flask', 'minio') if m in sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", imports], cwd=ROOT, capture_output=True, check=True
    )
    assert loaded.stdout.split() == []
