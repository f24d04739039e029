"""Run models/prepare.py without a hub in reach."""

import os
import subprocess
import sys
from pathlib import Path

from microdemucs.paths import ROOT

_NO_HUB = {"HF_ENDPOINT": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}


def prepare(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "models/prepare.py", name, "--into", str(folder)],
        cwd=ROOT,
        env=os.environ | _NO_HUB | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
