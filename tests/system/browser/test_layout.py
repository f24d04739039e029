"""How the page is laid out: on a phone, on a very large screen, and without motion."""

from pathlib import Path

import pytest
from playwright.sync_api import FloatRect, Locator, Page, expect

from testing.job_writer import JobWriter
from tests.system.browser.songs import wait_for_upload

WIDTH = "document.documentElement.scrollWidth"
END = "window.scrollTo(0, document.documentElement.scrollHeight)"
DRAG = """([kind, isFile]) => {
    const data = new DataTransfer();
    if (isFile) data.items.add(new File(["a song"], "dragged.mp3", {type: "audio/mpeg"}));
    else data.setData("text/plain", "a text");
    const event = new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true});
    document.querySelector("footer").dispatchEvent(event);
}"""


def box(element: Locator) -> FloatRect:
    found = element.bounding_box()
    assert found
    return found


def style(element: Locator, name: str) -> str:
    return str(element.evaluate("(element, name) => getComputedStyle(element)[name]", name))


def font_size(element: Locator) -> float:
    """In CSS pixels."""
    return float(style(element, "fontSize").removesuffix("px"))


def test_on_a_phone_the_transport_stays_at_the_foot_and_hides_nothing(ready: Page) -> None:
    ready.set_viewport_size({"width": 390, "height": 800})
    for script in ("window.scrollTo(0, 0)", END):
        ready.evaluate(script)
        transport = box(ready.locator(".transport"))
        assert transport["x"] == 0
        assert transport["width"] == ready.evaluate("document.documentElement.clientWidth")
        assert transport["y"] + transport["height"] == pytest.approx(800, abs=1)
        expect(ready.get_by_role("button", name="Play")).to_be_in_viewport(ratio=1)
    footer = box(ready.locator("footer"))  # at the end of the page
    assert footer["y"] + footer["height"] <= transport["y"]


def test_on_a_wide_screen_the_transport_is_above_the_stems(ready: Page) -> None:
    ready.set_viewport_size({"width": 1280, "height": 800})
    transport, stems = box(ready.locator(".transport")), box(ready.locator("#stems"))
    assert transport["y"] + transport["height"] <= stems["y"]
    library = box(ready.locator("#library"))
    assert library["x"] + library["width"] <= box(ready.locator("#player"))["x"]


def test_on_a_4k_screen_everything_is_larger(ready: Page) -> None:
    ready.set_viewport_size({"width": 1280, "height": 800})
    play, title = ready.get_by_role("button", name="Play"), ready.locator("#title")
    width, size = box(play)["width"], font_size(title)
    ready.set_viewport_size({"width": 3840, "height": 2160})
    assert box(play)["width"] == pytest.approx(1.75 * width, rel=0.02)
    assert font_size(title) == pytest.approx(1.75 * size, rel=0.02)
    assert ready.evaluate(WIDTH) <= 3840
    assert box(ready.locator("main"))["width"] > 3000  # the screen is used


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_nothing_moves_if_less_motion_is_wanted(
    page: Page, site: str, job_writer: JobWriter, song: Path, motion: str
) -> None:
    page.emulate_media(reduced_motion=motion)  # type: ignore[arg-type]
    page.goto(site)
    page.locator("#files").set_input_files(song)
    wait_for_upload(job_writer, song.name)
    expect(page.locator(".song")).to_have_attribute("data-state", "waiting")
    expect(page.locator("#progress")).to_be_visible()  # it wanders, as nothing is known yet
    moves = motion == "no-preference"
    assert (style(page.locator("#progress"), "animationName") != "none") == moves
    assert (page.evaluate("document.getAnimations().length") > 0) == moves
    cancel = style(page.locator("#cancel"), "transitionDuration")
    assert (cancel != "0s") == moves


def test_a_file_that_is_dragged_over_the_page_shows_where_it_can_be_dropped(
    page: Page, site: str
) -> None:
    page.goto(site)
    veil = page.get_by_text("Drop to separate")
    page.evaluate(DRAG, ["dragenter", False])
    expect(veil).to_be_hidden()  # a text is no song
    for end in ("dragleave", "drop"):
        page.evaluate(DRAG, ["dragenter", True])
        expect(veil).to_be_in_viewport()
        page.evaluate(DRAG, [end, True])
        expect(veil).to_be_hidden()
