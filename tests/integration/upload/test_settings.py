"""A real process with a setting that cannot be used."""

import os
import subprocess
import sys

import pytest

from microdemucs.paths import ROOT

SECRETS = {
    "API_TOKENS": "open-sesame,other-token",
    "STORE_SECRET_KEY": "store-secret",
    "NATS_PASSWORD": "bus-secret",
}


def start(**settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "microdemucs.service", "upload"],
        cwd=ROOT,
        env=os.environ | {"HOST": "127.0.0.1"} | settings,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_SONG_BYTES", "many"),
        ("LINK_HOURS", "169"),
        ("EVENT_STREAMS", "-1"),
        ("WEBHOOK_ALLOW_PRIVATE", "perhaps"),
        ("STORE_URL", "127.0.0.1"),
        ("PORT", "70000"),
    ],
)
def test_a_bad_setting_ends_the_process_with_one_line_that_names_it(name: str, value: str) -> None:
    ended = start(**{name: value})
    assert ended.returncode != 0
    [line] = (ended.stdout + ended.stderr).splitlines()
    assert name in line
    assert value in line


def test_a_bad_setting_shows_no_secrets() -> None:
    ended = start(**SECRETS, MAX_SONG_BYTES="many")
    assert ended.returncode != 0
    output = ended.stdout + ended.stderr
    for secret in ("open-sesame", "other-token", "store-secret", "bus-secret"):
        assert secret not in output
