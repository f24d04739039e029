"""The stems as a sound card gets them: recorded at the null sink of a sound server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, sync_playwright

from microdemucs.paths import ROOT
from testing.job_writer import STEMS
from testing.waiting import wait_until
from tests.system.browser.listening import RATE, Listener, Song, wav
from tests.system.browser.player_fixtures import listener, page, song
from tests.system.chromium import launch_chromium

__all__ = ["listener", "page", "song"]  # pytest finds them here

SECONDS = 20
EVERY = RATE // 10  # samples
LEVELS = [0.5, 0.25, 0.125, 0.0625]  # of the stems' clicks: their sums tell which stems sound
SOUND = 1e-4  # less is silence; a faded click may be as small
SEPARATING = """
import numpy as np
from functions.separate.engine.registry import ModelRegistry
from functions.separate.engine.settings import ModelSettings
models = ModelRegistry(ModelSettings(default="htdemucs_tiny"))
engine = models.load(models.choose("")).engines[0]
noise = np.random.default_rng(0).standard_normal((2, 44100)).astype(np.float32)
engine.separate(noise)
print("first window", flush=True)
while True:
    engine.separate(noise)
"""


@pytest.fixture(scope="module")  # playwright keeps an event loop in this thread for as long
def browser(sound_card: str) -> Iterator[Browser]:
    """Chromium with a sound card. Playwright would mute it."""
    with sync_playwright() as playwright:
        browser = launch_chromium(
            playwright,
            ignore_default_args=["--mute-audio"],
            env={**os.environ, "PULSE_SERVER": sound_card},
        )
        yield browser
        browser.close()


@pytest.fixture(params=[False, True], ids=["alone", "during a separation"])
def separation(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing; or a network that separates beside the browser, with all cores."""
    if not request.param:
        yield
        return
    separating = subprocess.Popen(
        [sys.executable, "-c", SEPARATING], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert separating.stdout
        assert separating.stdout.readline() == "first window\n"
        yield
    finally:
        separating.kill()
        separating.wait()


@pytest.fixture
def recording(sound_card: str, tmp_path: Path) -> Iterator[Path]:
    """A file of float32 that grows by what the sound card gets: [samples, 2]."""
    path = tmp_path / "recording"
    form = ["--raw", "--format=float32le", f"--rate={RATE}", "--channels=2", "--latency-msec=50"]
    with path.open("wb") as file:
        recorder = subprocess.Popen(
            ["parec", f"--server={sound_card}", "--device=null.monitor", *form], stdout=file
        )
    try:
        wait_until(lambda: path.stat().st_size > 0)  # it records silence, too
        yield path
    finally:
        recorder.terminate()
        recorder.wait()


def clicking(level: float) -> NDArray[np.int16]:
    """Return [2, samples] with clicks of one sample."""
    samples = np.zeros((2, SECONDS * RATE), np.int16)
    samples[:, ::EVERY] = round(level * 32768)
    return samples


def clicks(recording: Path) -> list[NDArray[np.float32]]:
    """Return the levels of the left channel in each run of samples that are not silent."""
    data = np.fromfile(recording, "<f4")
    left = data[: data.size // 2 * 2].reshape(-1, 2)[:, 0]
    loud = np.nonzero(np.abs(left) > SOUND)[0]
    return [left[run] for run in np.split(loud, np.nonzero(np.diff(loud) > 1)[0] + 1) if run.size]


def test_clicks_of_all_stems_arrive_in_the_same_sample(
    song: Song, listener: Listener, recording: Path, separation: None
) -> None:
    stems = zip(STEMS, LEVELS, strict=True)
    files = {f"{name}.wav": wav(clicking(level)) for name, level in stems}
    listener.load(song.finish(files), is_recorded=False)
    listener.pause_seek_and_mute(SECONDS, playing_s=0.3, muted_s=0.15)
    listener.do("seek(1)")
    wait_until(lambda: sum(abs(run[0] - sum(LEVELS)) < 1e-3 for run in clicks(recording)) > 40)
    recorded = clicks(recording)
    assert {run.size for run in recorded} == {1}
    assert max(run[0] for run in recorded) == pytest.approx(sum(LEVELS), abs=1e-3)
    muted = {round(float(sum(LEVELS) - level), 3) for level in LEVELS}
    assert muted <= {round(float(run[0]), 3) for run in recorded}
