"""Webhook registrations survive the loss of the bus in a file."""

import json
import os
import subprocess
import sys
from pathlib import Path

from nats.aio.client import Client

from microdemucs.bus import WEBHOOKS, Bus
from microdemucs.paths import ROOT
from testing.stack import Stack
from testing.web_client import WebClient


def run(stack: Stack, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "functions.upload.webhooks_backup", *arguments],
        cwd=ROOT,
        env=os.environ | stack.connection("upload") | settings,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_exported_registrations_can_be_imported_again(
    stack: Stack, client: WebClient, tmp_path: Path
) -> None:
    webhook = {"url": "https://example.com/hook", "events": ["dev.microdemucs.separation.failed"]}
    id_ = client.post("/apiv1/webhooks", json=webhook).json["id"]
    file = tmp_path / "hooks.json"
    exported = run(stack, "export", str(file))
    assert exported.returncode == 0, exported.stderr
    assert file.stat().st_mode & 0o077 == 0  # it contains secrets

    bus = Bus(stack.bus_settings("upload"), "test")
    before = bus.get(WEBHOOKS, id_)
    assert before is not None
    assert before.value
    bus.delete(WEBHOOKS, id_)
    imported = run(stack, "import", str(file))
    assert imported.returncode == 0, imported.stderr
    after = bus.get(WEBHOOKS, id_)
    assert after is not None
    assert after.value
    assert json.loads(after.value) == json.loads(before.value)
    bus.delete(WEBHOOKS, id_)
    bus.close()


def test_a_record_that_cannot_be_read_is_left_out_and_named(
    stack: Stack, client: WebClient, tmp_path: Path
) -> None:
    id_ = client.post("/apiv1/webhooks", json={"url": "https://example.com/hook"}).json["id"]
    bus = Bus(stack.bus_settings("upload"), "test")
    bus.put(WEBHOOKS, "broken", b"no json")
    exported = run(stack, "export", str(tmp_path / "hooks.json"))
    for key in (id_, "broken"):
        bus.remove(WEBHOOKS, key)
    bus.close()
    assert exported.returncode == 0
    assert exported.stderr == "broken cannot be read and is left out\n"
    records = json.loads((tmp_path / "hooks.json").read_text())
    assert id_ in records
    assert "broken" not in records


def test_an_imported_callback_expires(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "hooks.json"
    file.write_text(json.dumps({"callback.imported": {"url": "https://example.com/"}}))
    assert run(stack, "import", str(file)).returncode == 0
    bus = Bus(stack.bus_settings("upload"), "test")
    entry = bus.get(WEBHOOKS, "callback.imported")
    assert entry is not None

    async def headers(client: Client) -> dict[str, str]:
        message = await client.jetstream().get_msg("KV_webhooks", entry.revision)
        return message.headers or {}

    assert stack.on_bus("provision", headers)["Nats-TTL"] == str(30 * 86400)
    bus.remove(WEBHOOKS, "callback.imported")
    bus.close()


def test_a_file_without_registrations_is_rejected_in_one_line(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no json")
    rejected = run(stack, "import", str(tmp_path / "x"))
    assert rejected.returncode == 1
    assert "is not a file of webhook registrations" in rejected.stderr
    assert len(rejected.stderr.splitlines()) == 1


def test_a_bad_setting_is_named_in_one_line(stack: Stack, tmp_path: Path) -> None:
    ended = run(stack, "export", str(tmp_path / "x"), NATS_URL="nowhere")
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert line.startswith("NATS_URL is 'nowhere'")
