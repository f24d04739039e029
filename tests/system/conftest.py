"""The machine's own Chromium, for every test that looks at a page."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.system.chromium import launch_chromium

TakePicture = Callable[[str], Path]


@pytest.fixture(scope="module")  # playwright keeps an event loop in this thread for as long
def browser() -> Iterator[Browser]:
    """Chromium, as found on the machine."""
    with sync_playwright() as playwright:
        browser = launch_chromium(playwright)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page without cookies or storage; script and policy errors in it fail the test."""
    context = browser.new_context(viewport={"width": 900, "height": 1000})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if "Policy" in line.text else None)
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def picture(page: Page, request: pytest.FixtureRequest) -> TakePicture:
    """Take a screenshot of the page, into the folder that the variable PICTURES names."""

    def take(name: str) -> Path:
        folder = Path(os.environ.get("PICTURES") or request.getfixturevalue("tmp_path"))
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / f"{name}.png", full_page=True)
        return folder / f"{name}.png"

    return take
