"""A song on the page that waits, is separated, and becomes done while it is played."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from microdemucs.jobs import JobRecord, JobState, preview_key
from testing.job_writer import JobWriter
from testing.waiting import wait_until
from tests.system.browser.songs import SECONDS, TONES, files, wait_for_upload


@pytest.fixture
def waiting(page: Page, site: str, job_writer: JobWriter, song: Path) -> JobRecord:
    """A song that waits for its turn, on the page."""
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = wait_for_upload(job_writer, song.name)
    expect(page.locator(".song")).to_have_attribute("data-state", "waiting")
    return job


def start(job_writer: JobWriter, job: JobRecord) -> JobRecord:
    """Let the separation begin, without any sound."""
    return job_writer.write_record(job, state=JobState.RUNNING, phase="separating", progress=0.1)


def add_first_part(job_writer: JobWriter, job: JobRecord) -> None:
    """Store three quarters of the stems, as they are while the last one is separated."""
    for file, data in TONES.items():
        key = preview_key(job.key, file, 1)
        job_writer.stems.write(key, data[: len(data) * 3 // 4], "audio/wav")


def seconds(page: Page) -> float:
    return float(page.locator("#time").inner_text().removeprefix("0:"))


def expect_playing(page: Page, *, playing: bool) -> None:
    expect(page.get_by_role("button", name="Pause" if playing else "Play")).to_be_visible()


def test_play_can_be_pressed_before_there_is_sound(
    page: Page, job_writer: JobWriter, waiting: JobRecord
) -> None:
    page.get_by_role("button", name="Play").click()
    expect(page.locator("#mixer.playing.buffering")).to_be_visible()
    job = start(job_writer, waiting)
    expect(page.locator(".song")).to_have_attribute("data-state", "running")
    expect_playing(page, playing=True)
    assert seconds(page) == 0
    add_first_part(job_writer, job)
    wait_until(lambda: seconds(page) > 0.5)
    job_writer.finish(job, TONES, seconds=SECONDS)
    wait_until(lambda: seconds(page) > SECONDS * 0.8)  # it plays on


def test_a_song_that_was_ready_before_plays_as_soon_as_it_is_here(
    page: Page, job_writer: JobWriter, waiting: JobRecord
) -> None:
    page.keyboard.press("Space")
    expect_playing(page, playing=True)
    job_writer.finish(waiting, TONES, seconds=SECONDS)
    wait_until(lambda: seconds(page) > 0.3)


def test_pause_takes_an_early_press_of_play_back(
    page: Page, job_writer: JobWriter, waiting: JobRecord
) -> None:
    page.keyboard.press("Space")
    expect_playing(page, playing=True)
    page.keyboard.press("Space")
    expect_playing(page, playing=False)
    job_writer.finish(waiting, TONES, seconds=SECONDS)
    expect(page.locator("#take-away")).to_be_visible()
    expect_playing(page, playing=False)


def test_another_song_takes_an_early_press_of_play_back(
    page: Page, job_writer: JobWriter, waiting: JobRecord
) -> None:
    page.keyboard.press("Space")
    expect_playing(page, playing=True)
    page.locator("#files").set_input_files(files([f"then {waiting.id}.mp3"]))
    expect(page.locator("#title")).to_have_text(f"then {waiting.id}")
    expect_playing(page, playing=False)


def test_a_tab_that_plays_takes_an_early_press_of_play_back(
    page: Page, site: str, job_writer: JobWriter, waiting: JobRecord
) -> None:
    page.keyboard.press("Space")
    expect_playing(page, playing=True)
    other = page.context.new_page()
    other.goto(site)
    done = f"ready {waiting.id}.mp3"
    other.locator("#files").set_input_files(files([done]))
    job_writer.finish(wait_for_upload(job_writer, done), TONES)
    expect(other.locator("#take-away")).to_be_visible()
    other.get_by_role("button", name="Play").click()
    expect_playing(page, playing=False)


@pytest.mark.parametrize("answer", ["late", "never"])
def test_play_and_pause_work_while_the_links_to_the_stems_are_asked_for(
    page: Page, job_writer: JobWriter, waiting: JobRecord, answer: str
) -> None:
    job = start(job_writer, waiting)
    add_first_part(job_writer, job)
    page.get_by_role("button", name="Play").click()
    wait_until(lambda: seconds(page) > 0.3)
    held: list[Route] = []
    page.route(f"**/apiv1/jobs/{job.id}", lambda route: held.append(route))
    with page.expect_request(f"**/apiv1/jobs/{job.id}"):
        job_writer.finish(job, TONES, seconds=SECONDS)
    expect(page.locator(".song")).to_have_attribute("data-state", "done")
    wait_until(lambda: page.title() and held)
    if answer == "never":
        held[0].abort()
        expect(page.locator("#problem")).not_to_be_empty()
    for playing in (False, True):
        page.keyboard.press("Space")
        expect_playing(page, playing=playing)
    if answer == "late":
        held[0].continue_()
        wait_until(lambda: seconds(page) > SECONDS * 0.8)


def test_a_song_whose_stems_were_deleted_cannot_be_played(
    page: Page, job_writer: JobWriter, waiting: JobRecord
) -> None:
    job_writer.finish(waiting, TONES)
    expect(page.locator("#take-away")).to_be_visible()
    for file in TONES:
        job_writer.stems.remove(f"{waiting.key}/{file}")
    page.reload()
    expect(page.locator("#problem")).to_contain_text("deleted")
    expect(page.locator("#play")).to_be_disabled()
    expect(page.locator("#take-away")).to_be_hidden()
