"""The form offers only models that the server can use now."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from testing.job_writer import JobWriter
from testing.network_files import SOURCES, network_file
from testing.stack import Stack
from tests.system.browser.songs import wait_for_upload

Publish = Callable[..., None]
SIX = [*SOURCES, "guitar", "piano"]


def open_page(page: Page, site: str) -> None:
    """Open the page, and wait until it knows the models."""
    with page.expect_response("**/apiv1/models"):
        page.goto(site)
    page.get_by_text("Advanced").click()


def uploaded_options(page: Page, job_writer: JobWriter, song: Path) -> dict[str, Any]:
    """Upload a song, and return the options with which it has arrived."""
    page.locator("#files").set_input_files(song)
    return wait_for_upload(job_writer, song.name).options


def test_the_models_of_the_server_are_offered_and_no_others(
    page: Page, site: str, publish_models: Publish
) -> None:
    publish_models(mine=network_file(), broken=b"no weights")
    open_page(page, site)
    offered = page.get_by_label("Model").locator("option")
    expect(offered).to_have_text(["Standard (htdemucs_tiny)", "htdemucs_tiny", "mine"])


def test_six_stems_are_offered_if_a_model_has_six(
    page: Page, site: str, publish_models: Publish, job_writer: JobWriter, song: Path
) -> None:
    publish_models(mine=network_file())
    open_page(page, site)
    expect(page.get_by_label("Model")).to_be_visible()
    expect(page.get_by_role("radio", name="Six stems")).to_be_hidden()
    publish_models(sixfold=network_file(sources=SIX))
    open_page(page, site)
    page.get_by_role("radio", name="Six stems").check()
    assert uploaded_options(page, job_writer, song)["model"] == "sixfold"
    expect(page.locator(".stem-name")).to_have_text([name.capitalize() for name in SIX])


def test_a_remembered_choice_that_is_not_there_any_more_is_not_made(
    page: Page,
    site: str,
    publish_models: Publish,
    stack: Stack,
    job_writer: JobWriter,
    song: Path,
) -> None:
    publish_models(mine=network_file(), sixfold=network_file(sources=SIX))
    open_page(page, site)
    page.get_by_role("radio", name="Six stems").check()
    page.get_by_label("Model").select_option("mine")
    stack.store.remove_object("models", "mine/mine.safetensors")
    stack.store.remove_object("models", "sixfold/sixfold.safetensors")
    with page.expect_response("**/apiv1/models"):
        page.reload()
    expect(page.get_by_role("radio", name="All stems")).to_be_checked()
    expect(page.get_by_role("radio", name="Six stems")).to_be_hidden()
    assert "model" not in uploaded_options(page, job_writer, song)


def test_without_a_choice_of_models_none_is_offered(
    page: Page, site: str, publish_models: Publish
) -> None:
    publish_models()
    open_page(page, site)
    expect(page.get_by_label("Format")).to_be_visible()
    expect(page.get_by_label("Model")).to_be_hidden()
    expect(page.get_by_role("radio", name="Six stems")).to_be_hidden()
