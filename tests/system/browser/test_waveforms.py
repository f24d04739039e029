"""The waveforms of the mixer: they grow while the song is separated, and are then complete."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

from microdemucs.jobs import JobRecord, JobState, peaks_preview_key
from microdemucs.peaks import PEAKS_TYPE, Peaks, PeaksHeader
from testing.job_writer import STEMS, JobWriter
from testing.waiting import wait_until
from tests.system.browser.songs import TONES, wait_for_upload

TOTAL = 100  # columns of the song
LOUD = bytes([256 - 100, 100, 70])  # min, max, rms
PEAKS = "**/peaks?from=*"

# How much of each waveform is drawn: away from its middle, which has dots where none is known.
_DRAWN = """() => [...document.querySelectorAll('.wave canvas')].map((canvas) => {
    const { width, height } = canvas;
    const row = canvas.getContext('2d').getImageData(0, Math.round(height * 0.35), width, 1).data;
    return row.filter((value, at) => at % 4 === 3 && value > 0).length / width;
})"""


def peaks(start: int, stop: int, *, final: bool = False) -> Peaks:
    """Peaks of a loud song, of these columns."""
    header = PeaksHeader(stems=[*STEMS], total=TOTAL, start=start, final=final)
    return Peaks(header, LOUD * len(STEMS) * (stop - start))


def add_peaks(job_writer: JobWriter, job: JobRecord, start: int, stop: int) -> None:
    key = peaks_preview_key(job.key, start)
    job_writer.stems.write(key, peaks(start, stop).write(), PEAKS_TYPE)


def show_progress(job_writer: JobWriter, job: JobRecord, progress: float) -> JobRecord:
    return job_writer.write_record(job, state=JobState.RUNNING, progress=progress)


def wait_for_share(page: Page, share: float) -> None:
    """Wait until so much of all waveforms is drawn."""
    expected = pytest.approx([share] * len(STEMS), abs=0.02)
    wait_until(lambda: page.evaluate(_DRAWN) == expected)


@pytest.fixture
def job(page: Page, site: str, job_writer: JobWriter, song: Path) -> JobRecord:
    """A song on the page that is being separated; it has no peaks yet."""
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = show_progress(job_writer, wait_for_upload(job_writer, song.name), 0.1)
    expect(page.locator(".song")).to_have_attribute("data-state", "running")
    return job


def test_waveforms_grow_to_the_right_while_a_song_is_separated(
    page: Page, job_writer: JobWriter, job: JobRecord
) -> None:
    wait_for_share(page, 0)
    add_peaks(job_writer, job, 0, 30)
    job = show_progress(job_writer, job, 0.3)
    wait_for_share(page, 0.3)
    add_peaks(job_writer, job, 30, 60)
    job = show_progress(job_writer, job, 0.6)
    wait_for_share(page, 0.6)
    job_writer.finish(job, TONES, peaks(0, TOTAL, final=True))
    wait_for_share(page, 1)


def hold_a_request(page: Page, job_writer: JobWriter, job: JobRecord) -> Callable[[], None]:
    """Hold a request for the first 30 columns; return a function that lets its response arrive."""
    held: list[tuple[Route, APIResponse]] = []
    page.route(PEAKS, lambda route: held.append((route, route.fetch())), times=1)
    add_peaks(job_writer, job, 0, 30)
    show_progress(job_writer, job, 0.3)
    wait_until(lambda: page.title() and held)
    [(route, response)] = held
    return lambda: route.fulfill(response=response)


def test_waveforms_are_complete_if_a_request_is_under_way_when_the_song_becomes_done(
    page: Page, job_writer: JobWriter, job: JobRecord
) -> None:
    release = hold_a_request(page, job_writer, job)
    job_writer.finish(job, TONES, peaks(0, TOTAL, final=True))
    expect(page.locator("#take-away")).to_be_visible()
    release()
    wait_for_share(page, 1)


def test_waveforms_grow_by_what_comes_while_a_request_is_under_way(
    page: Page, job_writer: JobWriter, job: JobRecord
) -> None:
    release = hold_a_request(page, job_writer, job)
    add_peaks(job_writer, job, 30, 60)
    show_progress(job_writer, job, 0.6)
    expect(page.locator("#progress")).to_have_attribute("value", "0.6")
    release()
    wait_for_share(page, 0.6)


def test_waveforms_are_asked_for_again_if_they_could_not_be_fetched(
    page: Page, job_writer: JobWriter, job: JobRecord
) -> None:
    wait_for_share(page, 0)
    page.route(PEAKS, lambda route: route.abort(), times=2)
    job_writer.finish(job, TONES, peaks(0, TOTAL, final=True))
    wait_for_share(page, 1)
