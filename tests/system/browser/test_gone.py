"""Songs that the server does not have, or cannot show now: what the page says and offers."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from microdemucs.bus import JOBS
from microdemucs.jobs import JobRecord, JobState
from testing.job_writer import JobWriter
from testing.stack import Stack
from testing.waiting import wait_until
from tests.system.browser.songs import TONES, files, wait_for_upload

CHOOSE = "Choose the file again"
LINKS = "**/apiv1/jobs/*"
NO_STORAGE = """Object.defineProperty(window, "localStorage", {
    get() { throw new DOMException("Forbidden", "SecurityError"); },
});"""


def upload(page: Page, job_writer: JobWriter, song: Path) -> JobRecord:
    page.locator("#files").set_input_files(song)
    job = wait_for_upload(job_writer, song.name)
    expect(page.locator(".song")).to_have_attribute("data-job", job.id)
    return job


def forget(page: Page, site: str, job_writer: JobWriter, job: JobRecord) -> None:
    """Remove the job's record, as if it had expired."""
    job_writer.bus.delete(JOBS, job.id)
    wait_until(lambda: page.request.get(f"{site}/apiv1/jobs/{job.id}").status == 404)


def choose_again(page: Page, file: Any) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=CHOOSE).click()
    chooser.value.set_files(file)


@pytest.mark.parametrize("state", [JobState.WAITING, JobState.RUNNING])
def test_a_song_whose_job_the_server_has_forgotten_is_gone_and_can_be_added_again(
    page: Page, site: str, job_writer: JobWriter, song: Path, state: JobState
) -> None:
    page.goto(site)
    job = job_writer.write_record(upload(page, job_writer, song), state=state)
    expect(page.locator(".song")).to_have_attribute("data-state", state)
    page.goto("about:blank")
    forget(page, site, job_writer, job)
    page.goto(site)
    expect(page.locator(".song")).to_have_attribute("data-state", "gone")
    expect(page.locator("#problem")).to_contain_text("Add it again")
    choose_again(page, song)
    expect(page.locator(".song")).to_have_attribute("data-state", "waiting")
    expect(page.locator("#problem")).to_be_empty()


def test_a_song_that_the_server_never_notices_is_gone_after_some_minutes(
    page: Page, site: str, song: Path
) -> None:
    page.clock.install()
    page.goto(site)
    page.locator("#files").set_input_files(song)
    row = page.locator(".song")
    expect(row).to_have_attribute("data-state", "waiting")
    page.clock.fast_forward("00:06")
    page.clock.fast_forward("05:00")
    expect(row).to_have_attribute("data-state", "waiting")
    for _ in range(2):
        page.clock.fast_forward("06:00")
    expect(row).to_have_attribute("data-state", "gone")
    expect(page.get_by_role("button", name=CHOOSE)).to_be_visible()


def test_the_wish_to_cancel_a_song_that_is_not_known_yet_is_said_and_kept(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.clock.install()
    page.goto(site)
    page.locator("#files").set_input_files(song)
    expect(page.locator(".song")).to_have_attribute("data-state", "waiting")
    with page.expect_response("**/apiv1/jobs/*?cancel_only=true"):
        page.locator("#cancel").click()
    expect(page.locator("#cancel")).to_be_disabled()
    stored = "Object.values(localStorage).join()"
    wait_until(lambda: '"isToCancel":true' in page.evaluate(stored))
    page.clock.fast_forward("00:31")
    expect(page.locator("#problem")).to_contain_text("cancelled as soon as")
    expect(page.locator("#cancel")).to_be_enabled()
    page.reload()
    expect(page.locator("#state")).to_have_text("Cancelling…")
    wait_for_upload(job_writer, song.name)
    expect(page.locator("#state")).to_have_text("Cancelled")
    expect(page.locator("#problem")).to_be_empty()


def test_a_cancelled_song_whose_record_is_gone_is_gone(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    job = upload(page, job_writer, song)
    forget(page, site, job_writer, job)
    page.locator("#cancel").click()
    expect(page.locator(".song")).to_have_attribute("data-state", "gone")
    expect(page.locator("#cancel")).to_be_hidden()


def test_a_song_that_cannot_be_tried_again_without_its_file_asks_for_it(
    page: Page, site: str, job_writer: JobWriter, stack: Stack, song: Path
) -> None:
    page.goto(site)
    job = upload(page, job_writer, song)
    problem = {"title": "It failed", "status": 500}
    job_writer.write_record(job, state=JobState.FAILED, problem=problem)
    stack.store.remove_object("songs", job.key)
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".song")).to_have_attribute("data-state", "gone")
    expect(page.get_by_role("button", name=CHOOSE)).to_be_visible()


def test_stems_that_could_not_be_fetched_come_by_themselves(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    job = upload(page, job_writer, song)
    page.route(LINKS, lambda route: route.fulfill(status=503, json={"title": "Busy"}))
    job_writer.finish(job, TONES)
    expect(page.locator("#problem")).to_contain_text("cannot be fetched now")
    expect(page.locator("#retry")).to_be_hidden()
    page.unroute(LINKS)
    expect(page.locator("#problem")).to_be_empty()
    expect(page.locator("#take-away")).to_be_visible()


def test_a_song_without_stems_offers_to_make_them_again(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    job_writer.finish(upload(page, job_writer, song), TONES)
    expect(page.locator(".song")).to_have_attribute("data-state", "done")
    job = page.locator(".song").get_attribute("data-job")
    assert page.request.delete(f"{site}/apiv1/jobs/{job}").ok
    page.reload()
    expect(page.locator("#problem")).to_contain_text("Its stems were deleted")
    expect(page.get_by_role("button", name="Retry")).to_be_visible()


def test_an_interrupted_song_keeps_its_name_and_options_and_stays_if_no_file_is_chosen(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.route("**/songs", lambda route: None)  # no upload ends
    page.goto(site)
    page.get_by_role("radio", name="Karaoke").check()
    page.locator("#files").set_input_files(song)
    expect(page.locator(".song")).to_have_attribute("data-state", "uploading")
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("textbox", name="Name of this song").fill("Mine")
    page.keyboard.press("Enter")
    page.close()
    tab = page.context.new_page()
    tab.goto(site)
    interrupted = tab.locator('.song[data-state="interrupted"]')
    expect(interrupted).to_have_count(1)
    tab.get_by_role("radio", name="All stems").check()
    with tab.expect_file_chooser():
        tab.get_by_role("button", name=CHOOSE).click()
    tab.locator("#files").dispatch_event("cancel")  # the chooser is closed
    tab.locator("#files").set_input_files(files([f"other {song.name}"]))
    expect(tab.locator(".song")).to_have_count(2)
    expect(interrupted).to_have_count(1)
    interrupted.locator(".choose").click()
    choose_again(tab, song)
    job = wait_for_upload(job_writer, song.name)
    assert job.options == {"two_stems": "vocals"}
    expect(tab.locator("#title")).to_have_text("Mine")
    expect(tab.locator(".song")).to_have_count(2)


@pytest.mark.parametrize(
    ("status", "text"), [(404, "not on the server any more"), (503, "cannot be fetched now")]
)
def test_a_link_to_a_song_that_cannot_be_opened_says_why(
    page: Page, site: str, status: int, text: str
) -> None:
    page.route(LINKS, lambda route: route.fulfill(status=status, json={"title": "No"}))
    page.goto(f"{site}/#song={'a' * 32}")
    expect(page.locator("#page-problem")).to_contain_text(text)


@pytest.mark.parametrize("status", [0, 503])
def test_an_example_song_that_does_not_come_is_not_added(
    page: Page, site: str, status: int
) -> None:
    page.route(
        "**/example.mp3",
        lambda route: (
            route.fulfill(status=status, json={"title": "No"}) if status else route.abort()
        ),
    )
    page.goto(site)
    page.locator("#example").dispatch_event("click")  # shown if there is an example
    expect(page.locator("#page-problem")).to_contain_text("example song cannot be fetched")
    expect(page.locator(".song")).to_have_count(0)


def test_the_page_works_if_the_browser_keeps_nothing(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.add_init_script(NO_STORAGE)
    page.goto(site)
    expect(page.locator("#page-problem")).to_contain_text("keeps nothing")
    page.get_by_role("radio", name="Karaoke").check()
    job_writer.finish(upload(page, job_writer, song), TONES)
    expect(page.locator("#take-away")).to_be_visible()
