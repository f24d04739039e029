"""The child process that decodes, started as its parent starts it."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import numpy as np
import pytest

from functions.separate.audio import decoder
from functions.separate.audio.decoder_report import DecoderReport, DecoderTask
from microdemucs.paths import ROOT
from microdemucs.problems import Problem, Rejected, RetryLater
from tests.integration.separate.sounds import Samples, file, music

MUSIC = music(2)
WAV = file(MUSIC, subtype="FLOAT")
MODULE = "functions.separate.audio.start_decoder"
MEMORY_BYTES = 2 * 1024**3
FACTS = """{"container": "wav", "codec": "pcm", "sample_rate": 44100, "channels": 2, "bits": 16,
    "seconds": 1, "missing_seconds": 0, "declared_seconds": null, "ends_early": false,
    "length": %d, "mean": 0, "standard_deviation": 1, "is_clipped": false, "tags": {},
    "warnings": []}"""


def run_child(
    data: bytes, *, start: int | None = None, memory_bytes: int = MEMORY_BYTES
) -> "tuple[subprocess.CompletedProcess[bytes], bytes]":
    """Run the child on a song, and return how it ended and what it reported."""
    with tempfile.TemporaryFile() as song:
        song.write(data)
        song.seek(0)
        reading_end, writing_end = os.pipe()
        with os.fdopen(reading_end, "rb") as report:
            task = DecoderTask(
                max_seconds=60,
                max_memory_bytes=memory_bytes,
                report_fd=writing_end if start is None else None,
                start=start or 0,
            )
            ended = subprocess.run(
                [sys.executable, "-m", MODULE, msgspec.json.encode(task).decode()],
                stdin=song,
                capture_output=True,
                pass_fds=[writing_end],
                cwd=ROOT,
                check=False,
            )
            os.close(writing_end)
            return ended, report.read()


def samples_of(ended: "subprocess.CompletedProcess[bytes]") -> Samples:
    return np.frombuffer(ended.stdout, "<f4").reshape(-1, 2)


def test_the_child_reports_the_facts_and_writes_the_samples() -> None:
    ended, text = run_child(WAV)
    audio = msgspec.json.decode(text, type=DecoderReport).audio
    assert audio
    assert (audio.container, audio.codec, audio.channels) == ("wav", "pcm_f32le", 2)
    assert (audio.sample_rate, audio.length, audio.missing_seconds) == (44_100, len(MUSIC), 0)
    assert (audio.seconds, audio.declared_seconds) == (2, 2)
    assert audio.standard_deviation == pytest.approx(MUSIC.mean(1).std(ddof=1), rel=1e-5)
    assert np.array_equal(samples_of(ended), MUSIC)


def test_a_rejected_song_has_a_report_and_no_samples() -> None:
    ended, text = run_child(b"a text")
    report = msgspec.json.decode(text, type=DecoderReport)
    assert report.audio is None
    assert report.rejection
    assert report.rejection.kind == "not-audio"
    assert (ended.stdout, ended.returncode) == (b"", 0)


@pytest.mark.parametrize("start", [0, 1, 50_000, len(MUSIC)])
def test_the_child_writes_from_any_sample_on(start: int) -> None:
    ended, text = run_child(WAV, start=start)
    assert text == b""
    assert np.array_equal(samples_of(ended), MUSIC[start:])


def test_a_child_with_too_little_memory_ends_without_a_report() -> None:
    ended, text = run_child(WAV, memory_bytes=64 * 1024**2)
    assert ended.returncode != 0
    assert (text, ended.stdout) == (b"", b"")


def test_the_parent_gives_the_child_no_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STORE_SECRET_KEY", "secret")
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nenv > {tmp_path}/env\nexec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setattr("functions.separate.audio.decoder.sys.executable", str(wrapper))
    (tmp_path / "song.wav").write_bytes(WAV)
    with (
        (tmp_path / "song.wav").open("rb") as source,
        decoder.decode(source, 60, lambda share: None) as song,
    ):
        assert song.length == len(MUSIC)
    variables = (tmp_path / "env").read_text()
    assert "PWD" in variables
    assert "secret" not in variables


def use_instead(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `program`, in Python, run instead of the child, on a song in `folder`.

    It has `report`, which writes bytes to the pipe of the report.
    """
    wrapper = folder / "python"
    report = 'lambda data: os.write(json.loads(sys.argv[-1])["report_fd"], data)'
    wrapper.write_text(f"#!{sys.executable}\nimport json, os, sys\nreport = {report}\n{program}\n")
    wrapper.chmod(0o755)
    monkeypatch.setattr("functions.separate.audio.decoder.sys.executable", str(wrapper))
    (folder / "song.wav").write_bytes(WAV)


def decode_with(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Problem:
    """Return the problem if `program` runs instead of the child."""
    use_instead(program, folder, monkeypatch)
    with pytest.raises(Problem) as raised, (folder / "song.wav").open("rb") as source:
        decoder.decode(source, 60, lambda share: None).__enter__()
    return raised.value


def test_a_child_that_cannot_lock_itself_in_is_not_the_fault_of_the_song(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = decode_with("sys.exit(71)", tmp_path, monkeypatch)
    assert (type(problem), problem.kind) == (RetryLater, "no-sandbox")


@pytest.mark.parametrize(
    "report",
    [
        "no JSON",
        '{"audio": {"length": NaN}}',
        '{"rejection": {"kind": "root", "detail": "x"}}',
        "{}",
        '{"audio": %s}' % (FACTS % 10**12),
        '{"audio": %s, "cover_base64": "PGh0bWw+"}' % (FACTS % 1),
        '{"audio": %s, "cover_base64": "$("}' % (FACTS % 1),
    ],
)
def test_a_report_that_cannot_be_true_is_not_believed(
    report: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = decode_with(f"report({report.encode()!r})", tmp_path, monkeypatch)
    assert (type(problem), problem.kind) == (Rejected, "corrupt")


def test_a_possible_report_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above."""
    report = '{"audio": %s}' % (FACTS % 1)
    use_instead(f"report({report.encode()!r})", tmp_path, monkeypatch)
    with (
        (tmp_path / "song.wav").open("rb") as source,
        decoder.decode(source, 60, lambda share: None) as song,
    ):
        assert song.length == 1


def test_an_endless_report_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = decode_with("while True: report(bytes(9999))", tmp_path, monkeypatch)
    assert problem.kind == "corrupt"


def test_a_song_that_takes_too_much_processor_time_ends_the_child_by_name() -> None:
    code = (
        "from functions.separate.audio import decoder_process\n"
        "decoder_process._limit_resources(-290, 2 << 30)\n"  # one second
        "while True: pass"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGXCPU
