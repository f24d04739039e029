"""The presets: what each requests, and what its mixer mutes at first."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from testing.job_writer import JobWriter
from tests.system.browser.songs import TONES, wait_for_upload


@pytest.mark.parametrize(
    ("preset", "stem", "heard"),
    [
        ("Acapella", "vocals", "Vocals"),
        ("Drumless", "drums", "No drums"),
        ("No bass", "bass", "No bass"),
    ],
)
def test_a_preset_requests_two_stems_and_one_is_heard(
    page: Page, site: str, job_writer: JobWriter, song: Path, preset: str, stem: str, heard: str
) -> None:
    page.goto(site)
    page.get_by_role("radio", name=preset).check()
    page.locator("#files").set_input_files(song)
    job = wait_for_upload(job_writer, song.name)
    assert job.options == {"two_stems": stem}
    tone = TONES["bass.wav"]
    job_writer.finish(job, {f"{stem}.wav": tone, f"no_{stem}.wav": tone})
    expect(page.locator("#take-away")).to_be_visible()
    expect(page.locator(".stem")).to_have_count(2)
    expect(page.locator(".stem:has(.mute[aria-pressed=false]) .stem-name")).to_have_text(heard)
    expect(page.locator("#facts")).to_contain_text(preset)
