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
    card = page.locator("#songs .song")
    expect(card).to_have_attribute("data-state", "done", timeout=120_000)
    expect(card.locator(".stem-name")).to_have_text(["drums", "bass", "other", "vocals"])
    expect(card.locator(".warnings")).to_contain_text("make models MODEL=htdemucs")
    sounds = card.locator("audio")
    wait_until(
        lambda: all(sounds.evaluate_all("all => all.map(s => s.duration > 5.9)")),
        30,
        "the stems are loaded",
    )
    card.get_by_role("button", name="Play").click()
    wait_until(
        lambda: min(sounds.evaluate_all("all => all.map(s => s.currentTime)")) > 1,
        30,
        "the stems play",
    )
    picture("page")
    with page.expect_download() as download:
        card.get_by_role("link", name="Download vocals").click()
    [job] = [j for j in stack.api("GET", "/apiv1/jobs")["jobs"] if j["key"].endswith(song.name)]
    stem = stack.store.get_object("stems", f"{job['key']}/vocals.mp3").read()
    with open(download.value.path(), "rb") as file:
        assert file.read() == stem


def test_the_page_shows_why_a_file_is_rejected(stack: Stack, page: Page, tmp_path: Path) -> None:
    text = tmp_path / "text.mp3"
    text.write_text("dear listener")
    page.goto(stack.environment.upload_url)
    page.locator("#files").set_input_files(text)
    card = page.locator("#songs .song")
    expect(card).to_have_attribute("data-state", "failed", timeout=60_000)
    expect(card.locator(".problem")).not_to_be_empty()


def test_a_song_can_be_cancelled_on_the_page(stack: Stack, page: Page) -> None:
    page.goto(stack.environment.upload_url)
    page.locator("#files").set_input_files(SAMPLE)
    card = page.locator("#songs .song")
    expect(card).to_have_attribute("data-state", "running", timeout=60_000)
    card.locator(".cancel").click()
    expect(card).to_have_attribute("data-state", "cancelled", timeout=60_000)
