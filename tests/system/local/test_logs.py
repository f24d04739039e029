"""`make logs` follows all components."""

import os
import subprocess
import sys
from pathlib import Path

from microdemucs.paths import ROOT
from testing.songs import mp3
from testing.stack import running_stack
from testing.waiting import wait_until


def test_it_follows_all_components_and_filters_by_job(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with running_stack(tmp_path / "stack", "bridge", "intake", "separate") as stack:
        stack.environment.save()
        with output.open("w") as file:
            following = subprocess.Popen(
                [sys.executable, "-m", "local.logs", "--job", "requested"],
                cwd=ROOT,
                env=os.environ | {"MICRO_DEMUCS_STATE": str(stack.environment.folder)},
                stdout=file,
                stderr=subprocess.PIPE,
                text=True,
            )
        try:
            assert following.stderr
            assert "following" in following.stderr.readline()
            for key in ("other.mp3", "requested.mp3"):
                stack.put_song(key, mp3(2.0))
                stack.wait_for_manifest(key)
            wait_until(lambda: "delivered" in output.read_text(), 30, "the bridge's log line")
            assert "separate      job started" in output.read_text()
            assert "other.mp3" not in output.read_text()
        finally:
            following.kill()
            following.communicate()
