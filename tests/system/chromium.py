"""The machine's own Chromium."""

import os
import shutil
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def launch_chromium(playwright: Playwright, **options: Any) -> Browser:
    """Start Chromium, with these options of playwright's; skip the test if there is none."""
    path = next(filter(None, map(shutil.which, (os.environ.get("CHROMIUM", ""), *_NAMES))), None)
    if path is None:
        pytest.skip(
            "Chromium is not installed: apt-get install -y --no-install-recommends chromium"
            " (or set CHROMIUM to its path)"
        )
    return playwright.chromium.launch(
        executable_path=path,
        args=[
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--autoplay-policy=no-user-gesture-required",
        ],
        **options,
    )
