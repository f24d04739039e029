"""The machine's own Chromium, for every test that looks at a page."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from microdemucs.paths import ROOT

# Child processes find the packages as this process does (pyproject.toml, pythonpath).
os.environ["PYTHONPATH"] = f"{ROOT}:{ROOT / 'minio-events'}"

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")  # playwright keeps an event loop in this thread for as long
def browser() -> Iterator[Browser]:
    """The machine's own Chromium."""
    path = next(filter(None, map(shutil.which, (os.environ.get("CHROMIUM", ""), *NAMES))), None)
    if path is None:
        pytest.skip(
            "there is no Chromium: apt-get install -y --no-install-recommends chromium"
            " (or set CHROMIUM to its path)"
        )
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--autoplay-policy=no-user-gesture-required",
            ],
        )
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page of a browser that remembers nothing; what goes wrong in it fails the test."""
    context = browser.new_context(viewport={"width": 900, "height": 1000})
    one = context.new_page()
    wrong: list[str] = []
    one.on("pageerror", lambda error: wrong.append(str(error)))
    one.on("console", lambda line: wrong.append(line.text) if "Policy" in line.text else None)
    yield one
    context.close()
    assert wrong == []


@pytest.fixture
def picture(page: Page, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Take a picture of the page, into the folder that the variable PICTURES names."""

    def take(name: str) -> Path:
        folder = Path(os.environ.get("PICTURES") or request.getfixturevalue("tmp_path"))
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / f"{name}.png", full_page=True)
        return folder / f"{name}.png"

    return take
