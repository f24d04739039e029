"""Firefox, for the tests of the page that every browser must pass."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

_NAMES = ("firefox-esr", "firefox")
_PROXY = Path(__file__).with_name("bidi_proxy.py")


@pytest.fixture(scope="module")  # playwright keeps an event loop in this thread for as long
def browser(sound_card: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Firefox, as found on the machine; driven by WebDriver BiDi, which needs no patched one."""
    path = next(filter(None, map(shutil.which, (os.environ.get("FIREFOX", ""), *_NAMES))), None)
    if path is None:
        pytest.skip(
            "Firefox is not installed: apt-get install -y --no-install-recommends firefox-esr"
            " (or set FIREFOX to its path)"
        )
    program = tmp_path_factory.mktemp("firefox") / "firefox"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{_PROXY}" "$@"\n')
    program.chmod(0o755)
    with sync_playwright() as playwright:
        browser = playwright.firefox.launch(
            channel="moz-firefox",
            executable_path=program,
            env={**os.environ, "FIREFOX": path, "PULSE_SERVER": sound_card},
            firefox_user_prefs={
                "media.autoplay.default": 0,
                "media.autoplay.blocking_policy": 0,
                "media.autoplay.block-webaudio": False,
                # With a process of its own for sound, and PulseAudio, its pages can stop for ever
                # (github.com/mozilla/audioipc/issues/187).
                "media.cubeb.sandbox": False,
                "security.sandbox.content.level": 0,
            },
        )
        yield browser
        browser.close()


@pytest.fixture
def picture(tmp_path: Path) -> Callable[[str], Path]:
    """Take no picture: the driver would add a style that the page's policy forbids."""
    return lambda name: tmp_path / f"{name}.png"
