"""Songs that come in by one click, and songs that are separated again."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from functions.upload.page import EXAMPLE_SONG
from microdemucs.jobs import JobState
from microdemucs.problems import now
from testing.job_writer import JobWriter
from tests.system.browser.songs import TONES, uploaded_job, uploaded_key

EXAMPLE = "Black Mountain.mp3"


def test_the_example_song_comes_in_with_one_click(
    page: Page, site: str, job_writer: JobWriter
) -> None:
    page.goto(site)
    page.get_by_role("button", name="Try it with an example song").click()
    expect(page.locator("#title")).to_have_text("Black Mountain")
    expect(page.locator(".song")).to_have_attribute("data-state", "waiting")
    expect(page.locator("#welcome")).to_be_hidden()
    stat = job_writer.songs.stat(uploaded_key(job_writer, EXAMPLE))
    assert stat.size == EXAMPLE_SONG.stat().st_size


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_a_song_is_separated_again_without_being_sent_again(
    page: Page, site: str, job_writer: JobWriter, song: Path, state: JobState
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    problem = {"title": "The process was killed", "status": 500}
    job = uploaded_job(job_writer, song.name)
    job_writer.write_record(job, state=state, problem=problem, finished=now())
    expect(page.locator(".song")).to_have_attribute("data-state", state)
    sent: list[str] = []
    page.on("request", lambda one: sent.append(one.url) if one.method == "POST" else None)
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".song")).to_have_attribute("data-state", "waiting")
    expect(page.locator("#problem")).to_be_empty()
    assert sent == [f"{site}/apiv1/jobs/{job.id}/retry"]
    job_writer.finish(job, TONES)
    expect(page.locator(".song")).to_have_attribute("data-state", "done")
    expect(page.get_by_role("button", name="Retry")).to_be_hidden()
