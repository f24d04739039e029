"""The web form in a real browser: upload a song, and play its stems."""

from pathlib import Path

from playwright.sync_api import Page, expect

from testing.songs import SAMPLE, mp3
from testing.stack import Stack
from testing.waiting import wait_until
from tests.system.conftest import TakePicture


def test_the_stems_of_an_uploaded_song_play(
    stack: Stack, page: Page, picture: TakePicture, tmp_path: Path
) -> None:
    song = tmp_path / "Black Mountain.mp3"
    song.write_bytes(mp3(6.0))
    page.goto(stack.environment.upload_url)
    page.locator("#files").set_input_files(song)
    row = page.locator("#songs .song")
    expect(row).to_have_attribute("data-state", "done", timeout=120_000)
    expect(page.locator(".stem-name")).to_have_text(["Drums", "Bass", "Other", "Vocals"])
    expect(page.locator("#warnings")).to_contain_text("small model")
    page.get_by_role("button", name="Play").click()
    wait_until(lambda: page.locator("#time").inner_text() > "0:01.0", 30, "the stems play")
    picture("page")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download Vocals").click()
    [job] = [j for j in stack.api("GET", "/apiv1/jobs")["jobs"] if j["key"].endswith(song.name)]
    stem = stack.store.get_object("stems", f"{job['key']}/vocals.mp3").read()
    with open(download.value.path(), "rb") as file:
        assert file.read() == stem


def test_the_page_shows_why_a_file_is_rejected(stack: Stack, page: Page, tmp_path: Path) -> None:
    text = tmp_path / "text.mp3"
    text.write_text("dear listener")
    page.goto(stack.environment.upload_url)
    page.locator("#files").set_input_files(text)
    row = page.locator("#songs .song")
    expect(row).to_have_attribute("data-state", "failed", timeout=60_000)
    expect(page.locator("#problem")).not_to_be_empty()


def test_a_song_can_be_cancelled_on_the_page(stack: Stack, page: Page) -> None:
    page.goto(stack.environment.upload_url)
    page.get_by_text("Advanced").click()
    page.get_by_label("Quality").select_option("Best, 10 times slower")
    page.locator("#files").set_input_files(SAMPLE)
    row = page.locator("#songs .song")
    expect(row).to_have_attribute("data-state", "running", timeout=60_000)
    row.locator(".cancel").click()
    expect(row).to_have_attribute("data-state", "cancelled", timeout=60_000)
