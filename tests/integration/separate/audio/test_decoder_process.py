"""The child process that decodes, started as its parent starts it."""

import os
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
from tests.integration.separate.sounds import Samples, file, music

MUSIC = music(2)
WAV = file(MUSIC, subtype="FLOAT")
MODULE = "functions.separate.audio.start_decoder"
MEMORY_BYTES = 2 * 1024**3


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
