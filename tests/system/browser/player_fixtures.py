"""The fixtures of the tests that listen to the page's player."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from testing.job_writer import JobWriter
from tests.system.browser.listening import Listener, Song

__all__ = ["listener", "page", "song"]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that may also load the recorder, which its policy would forbid."""
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def song(page: Page, site: str, job_writer: JobWriter) -> Song:
    """A song that is being separated."""
    return Song.running(page, site, job_writer)


@pytest.fixture
def listener(page: Page) -> Listener:
    return Listener(page)
