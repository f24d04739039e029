"""Measure how soon the page sounds, and how soon it answers while many songs wait.

    python -m benchmarks.page [--drops 5] [--times 40] [--model FOLDER]

It uses the whole stack with the bundled model, and Chromium. With --model it only drops songs, and
uses the model in that folder. The songs have four minutes: a quiet half and a loud one, so that a
seek from one to the other can be told by the level. The sound is taken where it leaves the page;
the sound card comes after it. All stems begin at the same sample.
"""

import argparse
import io
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from playwright.sync_api import Browser, FilePayload, Page, expect, sync_playwright

from benchmarks.percentiles import percentile
from testing.stack import Stack, running_stack

_COMPONENTS = ("bridge", "intake", "separate", "upload")
_RATE, _SECONDS = 44_100, 240
_QUIET, _LOUD = 0.02, 0.2  # RMS
_IS_LOUD, _IS_QUIET, _IS_SOUND, _IS_SILENT = 0.2, 0.15, 1e-3, 1e-5  # levels of 6 ms
_LONGEST_S = 300
_WAITING = 20
_NOT_DROPPED = 10_000  # the seed of a song that is no drop's, so that its stems are not there yet
_SCRIPT = Path(__file__).with_name("page_sound.js")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--drops", type=int, default=5)
    parser.add_argument("--times", type=int, default=40)
    parser.add_argument("--model", type=Path, help="measure only drops, with this model")
    arguments = parser.parse_args()
    settings = {"MODEL": str(arguments.model.resolve())} if arguments.model else {}
    print("| | median ms | p95 | max |\n|---|---|---|---|", flush=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), *_COMPONENTS, OMP_NUM_THREADS="2", **settings) as stack,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        page = _measure_drops(stack, browser, Path(folder), arguments.drops)
        if not arguments.model:
            _measure_player(stack, page, arguments.times)
        browser.close()


def _measure_drops(stack: Stack, browser: Browser, folder: Path, drops: int) -> Page:
    """Return the page with the last song."""
    delays, first_blocks = [], []
    for number in range(drops):
        page = _open(stack, browser)
        song = folder / f"song {number}.mp3"
        song.write_bytes(_song(number))
        delays.append(_drop(page, song))
        first_blocks.append(1000 * _wait_for_stems(stack, song.name)["first_block"])
        if number < drops - 1:
            page.context.close()
    _report("a drop, to sound", delays)
    _report("of these, from the start of the job to its first block", first_blocks)
    return page


def _measure_player(stack: Stack, page: Page, times: int) -> None:
    page.locator("#take-away").wait_for()
    _report("a click on play, to sound", [_click(page) for _ in range(times)])
    _report("a seek, to sound", [_seek(page) for _ in range(times)])
    stack.put_song("another.mp3", _song(_NOT_DROPPED), shifts="20")
    stack.wait_for_job("another.mp3", "running")
    _report("a click on play, to sound, during a separation", [_click(page) for _ in range(times)])
    _report("a seek, to sound, during a separation", [_seek(page) for _ in range(times)])
    _measure_list(page, stack.environment.upload_url)
    stack.wait_for_job("another.mp3", "running", seconds=1)  # it still is


def _measure_list(page: Page, site: str) -> None:
    """Measure the list of songs while all but the first of them wait."""
    files = page.locator("#files")
    files.set_input_files([_small_file(number) for number in range(_WAITING)])
    waiting = page.locator('.song[data-state="waiting"]')
    expect(waiting).to_have_count(_WAITING)
    uploads, tabs, cancels = [], [], []
    for number in range(_WAITING, _WAITING + 5):
        started = time.monotonic()
        with page.expect_request("**/songs"):
            files.set_input_files([_small_file(number)])
        uploads.append(_since(started))
        expect(waiting).to_have_count(number + 1)
        tab = page.context.new_page()
        started = time.monotonic()
        tab.goto(site)
        tab.locator(f".song >> nth={number + 1}").wait_for()
        tabs.append(_since(started))
        tab.close()
    for number in range(5):
        started = time.monotonic()
        page.get_by_role("button", name=f"Cancel {number} waits").click()
        page.locator('.song[data-state="cancelled"]').nth(number).wait_for()
        cancels.append(_since(started))
    _report(f"a drop behind {_WAITING} waiting songs, to its upload", uploads)
    _report("a new tab, to all songs", tabs)
    _report("a cancel of a waiting song, until it is shown", cancels)


def _small_file(number: int) -> FilePayload:
    return {"name": f"{number} waits.mp3", "mimeType": "audio/mpeg", "buffer": b"no song"}


def _since(started: float) -> float:
    return 1000 * (time.monotonic() - started)


def _open(stack: Stack, browser: Browser) -> Page:
    page = browser.new_context().new_page()
    page.add_init_script(_SCRIPT.read_text())
    page.goto(stack.environment.upload_url)
    return page


def _drop(page: Page, song: Path) -> float:
    """Return the milliseconds from the choice of a file to its sound."""
    condition = {"above": _IS_SOUND}
    page.evaluate("c => { window.result = timeUntil(pressWhenPossible, c); }", condition)
    page.locator("#files").set_input_files(song)
    return float(page.evaluate("result"))


def _click(page: Page) -> float:
    """Return the milliseconds from a click on play to sound."""
    page.evaluate("c => timeUntil(press, c)", {"below": _IS_SILENT})
    page.evaluate("s => seekTo(s)", random.uniform(0, _SECONDS - 10))
    return float(page.evaluate("c => timeUntil(press, c)", {"above": _IS_SOUND}))


def _seek(page: Page) -> float:
    """Return the milliseconds from a seek, while the song plays, to the sound at its end."""
    half = _SECONDS / 2
    quiet = random.uniform(0, half - 10)
    page.evaluate("([s, c]) => timeUntil(() => seekTo(s), c)", [quiet, {"below": _IS_QUIET}])
    page.evaluate("c => timeUntil(() => {}, c)", {"above": _IS_SOUND})
    loud = random.uniform(half + 1, _SECONDS - 10)
    found = page.evaluate("([s, c]) => timeUntil(() => seekTo(s), c)", [loud, {"above": _IS_LOUD}])
    return float(found)


def _wait_for_stems(stack: Stack, name: str) -> dict[str, float]:
    """Return the job's timings, in seconds."""
    [job] = stack.api("GET", "/apiv1/jobs?prefix=form/&limit=1")["jobs"]
    assert job["key"].endswith(f"/{name}")
    stack.wait_for_job(job["key"], "done", seconds=_LONGEST_S)
    timings: dict[str, float] = stack.wait_for_manifest(job["key"])["timings"]
    return timings


def _song(seed: int) -> bytes:
    """Return an MP3 with noise: quiet in its first half, loud in its second one."""
    generator = np.random.default_rng(seed)
    half = _SECONDS // 2 * _RATE
    levels = np.repeat([_QUIET, _LOUD], half)[:, None]
    samples = levels * generator.standard_normal((2 * half, 2))
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, _RATE, format="MP3", subtype="MPEG_LAYER_III")
    return buffer.getvalue()


def _report(label: str, delays: Sequence[float]) -> None:
    median, p95 = statistics.median(delays), percentile(delays, 95)
    print(
        f"| {label} | {median:.0f} | {p95:.0f} | {max(delays):.0f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
