"""Run the programs of models/ as `make` does, with a home of their own."""

import subprocess
import sys
from pathlib import Path

from microdemucs.paths import ROOT
from tests.integration.separate.engine.fetching import environment

NOWHERE = "http://127.0.0.1:9"


def prepare(
    name: str, folder: Path, hub: str = NOWHERE, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `make models MODEL=name` with a folder of models, and with the hub at this address."""
    return run("prepare.py", folder, hub, name, "--into", str(folder), **variables)


def run(
    program: str, folder: Path, hub: str, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a program of models/ with its cache and its home beside the folder of models."""
    home = folder.parent / f"{folder.name}-home"
    settings = {
        "HF_ENDPOINT": hub,
        "HTTPS_PROXY": NOWHERE,  # demucs' older server is not to be asked
        "NO_PROXY": "127.0.0.1",
        "MODELS_CACHE": str(home / "cache"),
    }
    return subprocess.run(
        [sys.executable, f"models/{program}", *arguments],
        cwd=ROOT,
        env=environment(home, **settings | variables),
        capture_output=True,
        text=True,
        check=False,
    )
