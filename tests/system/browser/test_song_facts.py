"""What the page says of a song, and of the server: facts, cover, place in the queue, times."""

import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import numpy as np
import urllib3
from playwright.sync_api import Page, expect

from microdemucs.bus import JOBS
from microdemucs.jobs import JobState
from microdemucs.problems import now
from microdemucs.work_estimate import WorkEstimate
from testing.job_writer import JobWriter, new_job
from testing.waiting import wait_until
from tests.system.browser.songs import TONES, files, wait_for_upload


def picture_file(size: int) -> bytes:
    """A PNG, a square."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="image2pipe") as file:
        stream = file.add_stream("png", width=size, height=size, pix_fmt="rgb24")
        pixels = np.full((size, size, 3), 90, np.uint8)
        for packet in [
            *stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")),
            *stream.encode(),
        ]:
            file.mux(packet)
    return buffer.getvalue()


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def test_the_page_shows_title_artist_tempo_key_loudness_and_cover(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    tags = {"title": "Naima", "artist": "J. Coltrane", "bpm": "119.6", "key": "Bbm"}
    about = {"seconds": 263.0, "tags": tags, "loudness": -9.27, "cover": "cover.png"}
    job = job_writer.write_record(wait_for_upload(job_writer, song.name), song=about)
    job_writer.finish(job, TONES, tags=tags, cover=picture_file(70))
    expect(page.locator("#title")).to_have_text("Naima")
    expect(page.locator(".song .name")).to_have_text("Naima")
    for fact in ("J. Coltrane", "4:23", "120 BPM", "Bbm", "-9.3 LUFS", "MP3"):
        expect(page.locator("#facts")).to_contain_text(fact)
    expect(page.locator("#cover img")).to_be_visible()
    expect(page.locator("#cover img")).to_have_js_property("naturalWidth", 70)


def test_a_song_without_tags_has_a_letter_as_its_cover(page: Page, site: str, song: Path) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    expect(page.locator("#title")).to_have_text(song.stem)
    expect(page.locator("#cover")).to_have_attribute("data-letter", "G")
    shown = page.locator("#cover").evaluate("e => getComputedStyle(e, '::before').content")
    assert shown in ('"G"', "attr(data-letter)")  # as browsers tell it


def test_the_list_shows_a_songs_place_in_the_queue(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    names = [f"{place} {song.stem}.mp3" for place in ("before", "after")]
    page.locator("#files").set_input_files(files(names))
    for name in names:
        wait_for_upload(job_writer, name)
    last = page.locator(".song", has_text=names[1].removesuffix(".mp3")).locator(".row-state")
    expect(last).to_have_text(re.compile(r"Waiting · \d+(st|nd|rd|th) in the queue"))


def test_the_list_shows_how_long_a_song_still_takes(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = wait_for_upload(job_writer, song.name)
    half = {"phase": "separating", "progress": 0.5, "started": ago(4 * 3600), "updated": now()}
    job_writer.write_record(job, state=JobState.RUNNING, **half)
    text = "Separating · 50% · about 4 hours left"
    expect(page.locator(".row-state")).to_have_text(text)
    expect(page.locator("#state")).to_have_text(text)


def test_the_head_of_the_page_counts_songs_to_upload_and_songs_that_wait(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = wait_for_upload(job_writer, song.name)
    expect(page.locator("#queue")).to_have_text("1 waiting")
    page.route("**/songs", lambda route: None)  # no upload ends
    page.locator("#files").set_input_files(files([f"{n} {song.stem}.mp3" for n in range(3)]))
    expect(page.locator("#queue")).to_have_text("3 to upload · 1 waiting")
    job_writer.finish(job, TONES)
    expect(page.locator("#queue")).to_have_text("3 to upload")


def test_the_page_says_how_long_a_song_takes_on_this_server(
    page: Page, serve: Callable[..., str], job_writer: JobWriter, song: Path
) -> None:
    site = serve(THREADS="8")
    measured = job_writer.write_record(
        new_job(f"measured/{song.name}"),
        state=JobState.DONE,
        model="htdemucs_tiny",
        song={"seconds": 100.0},
        estimate=WorkEstimate(passes=1, windows=1, network_seconds=100.0, output_bytes=1),
        started=ago(50),
        finished=now(),
    )

    def is_measured() -> bool:
        facts = urllib3.request("GET", f"{site}/apiv1/service").json()
        return facts["speed"]["seconds_for_4_minutes"] is not None

    try:
        wait_until(is_measured)
        page.goto(site)
        text = "A song of 4 minutes takes about 2 min here."
        expect(page.locator("#limits")).to_contain_text(text)
    finally:
        job_writer.bus.remove(JOBS, measured.id)  # else other tests' songs have a time, too
