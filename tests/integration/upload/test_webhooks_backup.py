"""Registrations survive the loss of the bus as a file."""

import os
import subprocess
import sys

from microdemucs.bus import WEBHOOKS, Bus
from microdemucs.paths import ROOT


def run(stack, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "functions.upload.webhooks_backup", *arguments],
        cwd=ROOT,
        env=os.environ | stack.connection("upload"),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_what_is_exported_can_be_imported_again(stack, client, tmp_path):
    hook = {"url": "https://example.com/hook", "events": ["dev.microdemucs.separation.failed"]}
    id_ = client.post("/apiv1/webhooks", json=hook).json["id"]
    file = tmp_path / "hooks.json"
    done = run(stack, "export", str(file))
    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o077 == 0  # it holds secrets

    bus = Bus(stack.bus_settings("upload"), "test")
    before = bus.get(WEBHOOKS, id_).value
    bus.delete(WEBHOOKS, id_)
    done = run(stack, "import", str(file))
    assert done.returncode == 0, done.stderr
    assert bus.get(WEBHOOKS, id_).value == before
    bus.delete(WEBHOOKS, id_)
    bus.close()


def test_a_file_without_registrations_is_refused_in_one_line(stack, tmp_path):
    (tmp_path / "x").write_text("no json")
    done = run(stack, "import", str(tmp_path / "x"))
    assert done.returncode == 1
    assert "holds no registrations" in done.stderr
    assert "Traceback" not in done.stderr
