"""The page for everybody: axe finds nothing in any state, and forced colours show all."""

import io
from collections.abc import Callable
from pathlib import Path

import av
import pytest
import urllib3
from playwright.sync_api import Page, expect

from microdemucs.bus import JOBS
from microdemucs.jobs import JobState
from testing.job_writer import JobWriter
from testing.waiting import wait_until
from tests.system.browser.accessibility import violations
from tests.system.browser.songs import TONES, files, wait_for_upload


def colours(picture: bytes) -> tuple[list[int], list[int]]:
    """The colours at a quarter and at three quarters of a picture's width."""
    with av.open(io.BytesIO(picture), "r") as file:
        pixels = next(file.decode(video=0)).to_ndarray(format="rgb24")
    row = pixels[len(pixels) // 2]
    return row[len(row) // 4].tolist(), row[3 * len(row) // 4].tolist()


@pytest.fixture(params=[(360, True), (1280, False)], ids=["phone-dark", "desktop-light"])
def screen(page: Page, request: pytest.FixtureRequest) -> Page:
    """The page on a dark phone, and on a light and wide screen."""
    width, dark = request.param
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
    return page


def broken(found: dict[str, list[str]]) -> dict[str, list[str]]:
    """Only the states in which axe found something."""
    return {state: lines for state, lines in found.items() if lines}


def test_axe_finds_nothing_in_any_state(
    screen: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page = screen
    page.goto(site)
    found = {"empty": violations(page)}
    page.get_by_text("Advanced").click()
    found["options"] = violations(page)
    names = [f"failed {song.stem}.mp3", f"waiting {song.stem}.mp3"]
    page.locator("#files").set_input_files([*files(names)])
    failed, _ = [wait_for_upload(job_writer, name) for name in names]
    expect(page.locator('.song[data-state="waiting"]')).to_have_count(2)
    found["waiting"] = violations(page)
    job_writer.write_record(failed, state=JobState.FAILED, problem={"title": "No", "status": 422})
    expect(page.locator('.song[data-state="failed"]')).to_have_count(1)
    found["failed"] = violations(page)
    page.locator("#files").set_input_files(song)
    job = wait_for_upload(job_writer, song.name)
    job = job_writer.write_record(job, state=JobState.RUNNING, phase="separating", progress=0.4)
    expect(page.locator("#state")).to_contain_text("40%")
    found["running"] = violations(page)
    job_writer.finish(job_writer.write_record(job, warnings=["A note."]), TONES)
    expect(page.locator("#duration")).to_have_text("0:04")
    page.get_by_role("button", name="Mute Drums").click()
    page.get_by_role("button", name="Solo Bass").click()
    found["done"] = violations(page)
    page.keyboard.press("?")
    found["keys"] = violations(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Remove…").click()
    found["remove"] = violations(page)
    assert broken(found) == {}


def test_axe_finds_nothing_while_a_song_is_uploaded_or_after_it_was_not(
    screen: Page, site: str, song: Path
) -> None:
    screen.route("**/songs", lambda route: None)  # no upload ends
    screen.goto(site)
    names = [f"{number} {song.stem}.mp3" for number in range(3)]
    screen.locator("#files").set_input_files(files(names))
    expect(screen.locator("#state")).to_contain_text("Uploading")
    found = {"uploading": violations(screen)}
    screen.locator("#cancel").click()
    expect(screen.locator("#state")).to_have_text("Cancelled")
    found["cancelled"] = violations(screen)
    screen.close()
    tab = screen.context.new_page()
    tab.set_viewport_size(screen.viewport_size or {"width": 1280, "height": 800})
    tab.goto(site)
    tab.locator('.song[data-state="interrupted"] .choose').first.click()
    expect(tab.locator("#problem")).to_contain_text("Choose the file again")
    found["interrupted"] = violations(tab)
    assert broken(found) == {}


def test_axe_finds_nothing_when_a_stem_cannot_be_played_or_a_song_is_gone(
    screen: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    screen.goto(site)
    screen.locator("#files").set_input_files(song)
    damaged = TONES | {"bass.wav": b"no sound"}
    job = job_writer.finish(wait_for_upload(job_writer, song.name), damaged)
    expect(screen.locator("#take-away")).to_be_visible()
    screen.get_by_role("button", name="Play").click()
    expect(screen.locator("#player-problem")).to_contain_text("Bass")
    found = {"damaged stem": violations(screen)}
    job_writer.bus.remove(JOBS, job.id)  # as if its record had expired
    address = f"{site}/apiv1/jobs/{job.id}"
    wait_until(lambda: urllib3.request("GET", address).status == 404)
    screen.reload()
    expect(screen.locator("#chosen")).to_have_attribute("data-state", "gone")
    found["gone"] = violations(screen)
    assert broken(found) == {}


def test_axe_finds_nothing_when_the_page_asks_or_says_something(
    screen: Page, serve: Callable[..., str], job_writer: JobWriter, song: Path
) -> None:
    screen.goto(serve(THREADS="8"))
    screen.locator("#files").set_input_files(song)
    wait_for_upload(job_writer, song.name)
    expect(screen.locator(".song")).to_have_attribute("data-state", "waiting")
    screen.get_by_role("button", name="Rename").click()
    found = {"rename": violations(screen)}
    screen.keyboard.press("Escape")
    screen.get_by_label("Search songs").fill("there is no such song")
    expect(screen.locator("#no-match")).to_be_visible()
    found["no match"] = violations(screen)
    screen.locator("#files").set_input_files({"name": "a.txt", "mimeType": "", "buffer": b"text"})
    expect(screen.locator("#page-problem")).to_contain_text("is not a song")
    found["no song"] = violations(screen)
    screen.context.set_offline(True)
    expect(screen.locator("#connection")).to_be_visible()
    found["offline"] = violations(screen)
    assert broken(found) == {}


def test_axe_finds_nothing_when_a_token_is_asked_for(
    screen: Page, serve: Callable[..., str], song: Path
) -> None:
    screen.goto(serve(API_TOKENS="open-sesame"))
    screen.locator("#files").set_input_files(song)
    expect(screen.locator("#token-form")).to_be_visible()
    found = {"token": violations(screen)}
    screen.get_by_label("Enter your access token").fill("wrong")
    screen.get_by_role("button", name="Continue").click()
    expect(screen.locator("#token-problem")).to_contain_text("not valid")
    found["wrong token"] = violations(screen)
    assert broken(found) == {}


def test_forced_colours_show_what_is_on_and_how_far_a_song_is(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.emulate_media(forced_colors="active")
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = wait_for_upload(job_writer, song.name)
    job = job_writer.write_record(job, state=JobState.RUNNING, phase="separating", progress=0.5)
    expect(page.locator("#state")).to_contain_text("50%")
    done, left = colours(page.locator("#progress").screenshot())
    assert done != left
    job_writer.finish(job, TONES)
    ground = "element => getComputedStyle(element).backgroundColor"
    mute = page.get_by_role("button", name="Mute Drums")
    off = mute.evaluate(ground)
    mute.click()
    assert mute.evaluate(ground) != off
