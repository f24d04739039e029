"""Thirty faults of a seeded campaign; `make faults FAULTS=1000` does more."""

import os
import subprocess
import sys
from pathlib import Path

from microdemucs.paths import ROOT
from testing.faults.timeline import read_timeline

FAULTS = 30


def test_thirty_faults_lose_repeat_and_leave_nothing(tmp_path: Path) -> None:
    arguments = ["run", "--faults", str(FAULTS), "--seed", "1", "--folder", str(tmp_path)]
    campaign = subprocess.run(
        [sys.executable, "-m", "testing.faults", *arguments],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
    )
    assert campaign.returncode == 0, campaign.stdout + campaign.stderr
    events = [event["event"] for event in read_timeline(tmp_path / "timeline.jsonl")]
    assert events.count("fault ended") == FAULTS
    assert "violation" not in events
