"""What can be done with a song, by keyboard only: each control is reached with Tab."""

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from testing.job_writer import JobWriter
from tests.system.browser.songs import files, wait_for_upload

MOST_TABS = 80  # of the whole page, with two songs and their mixer

HAS_FOCUS = "element => element === document.activeElement"


def tab_to(page: Page, control: Locator, key: str = "Tab") -> None:
    """Press Tab until the control has the focus, and check that one can see it."""
    for _ in range(MOST_TABS):
        page.keyboard.press(key)
        if control.evaluate(HAS_FOCUS):
            break
    expect(control).to_be_focused()
    expect(control).to_be_in_viewport()


def press(page: Page, control: Locator, key: str = "Tab") -> None:
    """Go to the control and press it."""
    tab_to(page, control, key)
    page.keyboard.press("Enter")


def test_a_song_is_chosen(page: Page, site: str, song: Path) -> None:
    page.route("**/songs", lambda route: None)  # no upload ends
    page.goto(site)
    page.locator("#files").set_input_files(files([f"{name} {song.stem}.mp3" for name in "AB"]))
    expect(page.locator("#title")).to_have_text(f"A {song.stem}")
    second = page.locator(".song .choose", has_text=f"B {song.stem}")
    press(page, second)
    expect(page.locator("#title")).to_have_text(f"B {song.stem}")
    expect(second).to_have_attribute("aria-current", "true")
    expect(second).to_be_focused()


@pytest.mark.parametrize("control", ["#cancel", ".song .cancel"])
def test_a_song_is_cancelled(
    page: Page, site: str, job_writer: JobWriter, song: Path, control: str
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    wait_for_upload(job_writer, song.name)
    expect(page.locator(".song")).to_have_attribute("data-state", "waiting")
    press(page, page.locator(control))
    expect(page.locator(".row-state")).to_have_text("Cancelled")


def test_a_song_is_renamed(ready: Page) -> None:
    button = ready.get_by_role("button", name="Rename")
    press(ready, button)
    expect(ready.get_by_role("textbox", name="Name of this song")).to_be_focused()
    ready.keyboard.type("Naima")  # in place of the old name
    ready.keyboard.press("Enter")
    expect(ready.locator("#title")).to_have_text("Naima")
    expect(button).to_be_focused()


def test_nothing_is_renamed_if_escape_is_pressed(ready: Page, song: Path) -> None:
    press(ready, ready.get_by_role("button", name="Rename"))
    ready.keyboard.type("Naima")
    ready.keyboard.press("Escape")
    expect(ready.get_by_role("dialog")).to_be_hidden()
    expect(ready.locator("#title")).to_have_text(song.stem)


def test_a_song_is_kept_if_enter_is_pressed_twice(ready: Page) -> None:
    button = ready.get_by_role("button", name="Remove…")
    press(ready, button)
    expect(ready.get_by_role("button", name="Keep it")).to_be_focused()
    ready.keyboard.press("Enter")
    expect(button).to_be_focused()
    expect(ready.locator(".song")).to_have_count(1)


def test_a_song_is_taken_off_the_list(ready: Page) -> None:
    press(ready, ready.get_by_role("button", name="Remove…"))
    press(ready, ready.get_by_role("button", name="Take it off this list"), "Shift+Tab")
    expect(ready.locator(".song")).to_have_count(0)
    expect(ready.locator("#welcome")).to_be_visible()


def test_a_stem_is_taken_away(ready: Page, song: Path) -> None:
    tab_to(ready, ready.get_by_role("link", name="Download Drums"))
    with ready.expect_download() as download:
        ready.keyboard.press("Enter")
    assert download.value.suggested_filename == f"{song.stem} - drums.wav"


def test_a_stem_is_soloed_by_its_button(ready: Page) -> None:
    solo = ready.get_by_role("button", name="Solo Bass")
    tab_to(ready, solo)
    ready.keyboard.press("Space")  # presses the button; it does not play
    expect(solo).to_have_attribute("aria-pressed", "true")
    expect(ready.get_by_role("button", name="Play")).to_be_visible()


def test_a_song_is_shared(ready: Page) -> None:
    press(ready, ready.get_by_role("button", name="Share…"))
    link = ready.get_by_label("Everybody with this link")
    expect(link).to_be_visible()
    tab_to(ready, link)
    selected = "element => element.value.slice(element.selectionStart, element.selectionEnd)"
    assert link.evaluate(selected) == link.input_value()  # ready to be copied
    tab_to(ready, ready.get_by_role("button", name="Copy"))
