"""Removing and renaming a song: the one that was meant, and for good if that was said."""

import re
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from microdemucs.jobs import JobState
from testing.job_writer import JobWriter
from testing.waiting import wait_until
from tests.system.browser.songs import TONES, files, uploaded_key, wait_for_upload

DELETE = "Delete the song and its stems for good"


def press_delete(page: Page) -> None:
    page.get_by_role("button", name="Remove…").click()
    page.get_by_role("button", name=DELETE).click()


def refuse_deletions(page: Page) -> list[str]:
    """Answer every DELETE with 503; return the list to which their addresses are added."""
    asked: list[str] = []

    def answer(route: Route) -> None:
        if route.request.method != "DELETE":
            return route.fallback()
        asked.append(route.request.url)
        return route.fulfill(status=503, json={"title": "Busy", "status": 503})

    page.route("**/apiv1/jobs/*", answer)
    page.route("**/apiv1/jobs/*?*", answer)
    return asked


def test_the_song_that_the_dialog_names_is_removed(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job_writer.finish(wait_for_upload(job_writer, song.name), TONES)
    expect(page.locator(".song")).to_have_attribute("data-state", "done")
    page.get_by_role("button", name="Remove…").click()
    expect(page.locator("#remove-name")).to_have_text(song.stem)
    page.locator("#files").set_input_files(files([f"other {song.name}"]))
    expect(page.locator("#title")).to_have_text(f"other {song.stem}")
    page.get_by_role("button", name="Take it off this list").click()
    expect(page.locator(".song .name")).to_have_text([f"other {song.stem}"])


def test_the_song_that_the_dialog_names_is_renamed(page: Page, site: str, song: Path) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    expect(page.locator(".song")).to_have_attribute("data-state", "waiting")
    page.get_by_role("button", name="Rename").click()
    page.locator("#files").set_input_files(files([f"other {song.name}"]))
    expect(page.locator("#title")).to_have_text(f"other {song.stem}")
    page.get_by_role("textbox", name="Name of this song").fill("Mine")
    page.keyboard.press("Enter")
    expect(page.locator(".song .name")).to_have_text([f"other {song.stem}", "Mine"])


def test_escape_deletes_nothing_after_a_deletion_that_failed(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job_writer.finish(wait_for_upload(job_writer, song.name), TONES)
    expect(page.locator(".song")).to_have_attribute("data-state", "done")
    asked = refuse_deletions(page)
    press_delete(page)
    expect(page.locator("#remove-problem")).to_contain_text("could not delete it")
    assert len(asked) == 1
    page.locator("#remove-dialog").evaluate("dialog => dialog.close()")  # Escape, in many browsers
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Remove…").click()
    expect(page.locator("#remove-problem")).to_be_empty()
    page.get_by_role("button", name="Keep it").click()
    expect(page.locator(".song")).to_have_attribute("data-state", "done")
    assert len(asked) == 1


def test_a_song_that_is_done_is_deleted_for_good(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = job_writer.finish(wait_for_upload(job_writer, song.name), TONES)
    expect(page.locator(".song")).to_have_attribute("data-state", "done")
    press_delete(page)
    expect(page.locator(".song")).to_have_count(0)
    assert uploaded_key(job_writer, song.name) == ""
    assert list(job_writer.stems.list(f"{job.key}/")) == []


def test_a_song_that_waits_is_deleted_for_good(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = wait_for_upload(job_writer, song.name)
    expect(page.locator(".song")).to_have_attribute("data-job", job.id)
    press_delete(page)
    expect(page.locator(".song")).to_have_count(0)
    assert uploaded_key(job_writer, song.name) == ""


def test_a_song_whose_job_is_not_known_yet_is_deleted_once_it_is(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    expect(page.locator(".song")).to_have_attribute("data-state", "waiting")
    press_delete(page)
    expect(page.locator("#state")).to_have_text("Deleting…")
    job = wait_for_upload(job_writer, song.name)
    wait_until(lambda: job_writer.bus.get("cancels", job.id) is not None)
    expect(page.locator(".song")).to_have_count(0)


def test_a_running_song_is_deleted_when_its_job_has_ended_also_after_a_reload(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = wait_for_upload(job_writer, song.name)
    job = job_writer.write_record(job, state=JobState.RUNNING, phase="separating")
    expect(page.locator(".song")).to_have_attribute("data-state", "running")
    press_delete(page)
    expect(page.locator("#state")).to_have_text("Deleting…")
    wait_until(lambda: job_writer.bus.get("cancels", job.id) is not None)
    page.reload()
    expect(page.locator("#state")).to_have_text("Deleting…")
    expect(page.locator("#cancel")).to_be_disabled()
    job_writer.write_record(job, state=JobState.CANCELLED)
    expect(page.locator(".song")).to_have_count(0)
    assert uploaded_key(job_writer, song.name) == ""


def test_an_upload_that_is_removed_ends(page: Page, site: str, song: Path) -> None:
    page.route("**/songs", lambda route: None)  # it never ends
    page.goto(site)
    page.locator("#files").set_input_files(song)
    expect(page.locator(".song")).to_have_attribute("data-job", re.compile(r"\w{32}"))
    with page.expect_event("requestfailed"):
        press_delete(page)
    expect(page.locator(".song")).to_have_count(0)
