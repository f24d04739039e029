"""Cancelling on the page: it shows at once, and a failed request can be made again."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route, expect

from microdemucs.jobs import JobState
from testing.job_writer import JobWriter
from testing.waiting import wait_until
from tests.system.browser.songs import uploaded_key, wait_for_upload

CANCEL = "**/apiv1/jobs/*?cancel_only=true"


def test_a_waiting_song_is_cancelled_before_its_turn(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = wait_for_upload(job_writer, song.name)
    wait_until(lambda: page.request.get(f"{site}/apiv1/jobs/{job.id}").ok)
    held: list[Route] = []
    page.route(CANCEL, lambda route: held.append(route))
    with page.expect_request(CANCEL):
        page.get_by_role("button", name=f"Cancel {song.stem}").click()
    expect(page.locator(".row-state")).to_have_text("Cancelling…")
    held[0].continue_()
    expect(page.locator(".row-state")).to_have_text("Cancelled")
    wait_until(lambda: job_writer.bus.get("cancels", job.id))


def test_a_running_song_is_cancelled(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = wait_for_upload(job_writer, song.name)
    job = job_writer.write_record(job, state=JobState.RUNNING, phase="separating")
    expect(page.locator(".song")).to_have_attribute("data-state", "running")
    page.locator("#cancel").click()
    expect(page.locator("#state")).to_have_text("Cancelling…")
    wait_until(lambda: job_writer.bus.get("cancels", job.id))
    job_writer.write_record(job, state=JobState.CANCELLED)
    expect(page.locator("#state")).to_have_text("Cancelled")


def test_after_a_failed_request_a_song_can_still_be_cancelled(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    wait_for_upload(job_writer, song.name)
    page.route(CANCEL, lambda route: route.abort(), times=1)
    page.locator("#cancel").click()
    expect(page.locator("#problem")).to_contain_text("Press Cancel again")
    page.locator("#cancel").click()
    expect(page.locator("#state")).to_have_text("Cancelled")
    expect(page.locator("#problem")).to_be_empty()


def test_a_song_whose_job_is_not_known_yet_is_cancelled_once_it_is(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    expect(page.locator(".song")).to_have_attribute("data-state", "waiting")
    page.locator("#cancel").click()
    expect(page.locator("#state")).to_have_text("Cancelling…")
    wait_for_upload(job_writer, song.name)
    expect(page.locator("#state")).to_have_text("Cancelled")


def test_an_upload_is_cancelled_at_once(page: Page, site: str, song: Path) -> None:
    page.route("**/songs", lambda route: None)  # it never ends
    page.goto(site)
    page.locator("#files").set_input_files(song)
    expect(page.locator(".song")).to_have_attribute("data-state", "uploading")
    page.locator("#cancel").click()
    expect(page.locator("#state")).to_have_text("Cancelled")


def test_a_song_that_was_sent_before_its_upload_could_be_stopped_is_deleted(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    held: list[str] = []
    network = page.context.new_cdp_session(page)

    def hold_the_answer(paused: dict[str, Any]) -> None:
        if paused["request"]["method"] == "POST":
            held.append(paused["requestId"])
        else:
            network.send("Fetch.continueRequest", {"requestId": paused["requestId"]})

    network.on("Fetch.requestPaused", hold_the_answer)
    # page.route() would hold the song itself, not the answer.
    patterns = [{"urlPattern": "*/songs", "requestStage": "Response"}]
    network.send("Fetch.enable", {"patterns": patterns})
    page.locator("#files").set_input_files(song)
    expect(page.locator(".row-state")).to_have_text("Uploading · 100%")
    wait_until(lambda: bool(uploaded_key(job_writer, song.name)))
    wait_until(lambda: page.evaluate("true") and bool(held))  # evaluate lets events arrive
    page.locator("#cancel").click()
    expect(page.locator("#state")).to_have_text("Cancelled")
    with page.expect_response(CANCEL):  # the job is not known yet
        network.send("Fetch.continueRequest", {"requestId": held[0]})
    job = wait_for_upload(job_writer, song.name)
    wait_until(lambda: job_writer.bus.get("cancels", job.id))
    job_writer.write_record(job, state=JobState.CANCELLED)
    wait_until(lambda: not uploaded_key(job_writer, song.name))
    expect(page.locator("#state")).to_have_text("Cancelled")
