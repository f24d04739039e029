"""The page for everybody: axe finds nothing in any state, and forced colours show all."""

import io
from pathlib import Path

import av
import pytest
from playwright.sync_api import Page, expect

from microdemucs.jobs import JobState
from testing.job_writer import JobWriter
from tests.system.browser.accessibility import violations
from tests.system.browser.songs import TONES, files, wait_for_upload


def colours(picture: bytes) -> tuple[list[int], list[int]]:
    """The colours at a quarter and at three quarters of a picture's width."""
    with av.open(io.BytesIO(picture), "r") as file:
        pixels = next(file.decode(video=0)).to_ndarray(format="rgb24")
    row = pixels[len(pixels) // 2]
    return row[len(row) // 4].tolist(), row[3 * len(row) // 4].tolist()


@pytest.mark.parametrize(("width", "dark"), [(360, True), (1280, False)])
def test_axe_finds_nothing_in_any_state(
    page: Page, site: str, job_writer: JobWriter, song: Path, width: int, dark: bool
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
    page.goto(site)
    found = {"empty": violations(page)}
    page.get_by_text("Advanced").click()
    found["options"] = violations(page)
    names = [f"failed {width}.mp3", f"waiting {width}.mp3"]
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
    assert {state: lines for state, lines in found.items() if lines} == {}


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
