"""Download a model in a process of its own: the client reads the environment when it is imported.

Prints the last progress, or the error's class and text.
"""

import os
import subprocess
import sys
from pathlib import Path

from functions.separate.engine.released_models import MODELS
from microdemucs.paths import ROOT
from testing.hub_server import Hub

NETWORKS = MODELS["htdemucs_ft"].networks
FIRST = f"{NETWORKS[0]}.safetensors"

_PROGRAM = """
import sys
from pathlib import Path
from functions.separate.engine import hub
function, name, folder, *namespace = sys.argv[1:]
seen = []
try:
    getattr(hub, function)(name, Path(folder), *namespace, report=seen.append)
    print(*seen[-1:])
except hub.CannotFetch as error:
    print(type(error).__name__, error)
"""
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def environment(home: Path, **variables: str) -> dict[str, str]:
    """Return an environment with a home of its own, whatever this one says about the hub."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "HUGGING", "XDG_")) and name.upper() not in _PROXIES
    }
    # Other tests may take all cores, and a local hub seconds to answer.
    own = {"HOME": str(home), "PYTHONPATH": str(ROOT), "HF_HUB_ETAG_TIMEOUT": "60"}
    return kept | own | variables


def start_fetch(
    hub: Hub | str, name: str, folder: Path, *namespace: str, function: str = "fetch", **more: str
) -> subprocess.Popen[str]:
    """Start a download into `folder`; `more` are environment variables."""
    url = hub if isinstance(hub, str) else hub.url
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, function, name, str(folder), *namespace],
        cwd=ROOT,
        env=environment(folder.parent / "home", HF_ENDPOINT=url, **more),
        stdout=subprocess.PIPE,
        text=True,
    )


def fetch(
    hub: Hub | str, name: str, folder: Path, *namespace: str, function: str = "fetch", **more: str
) -> str:
    """Download into `folder`; return what was printed."""
    process = start_fetch(hub, name, folder, *namespace, function=function, **more)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return output.strip()


def content(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def without_readme(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files that a download has of a repository's."""
    return {name: data for name, data in files.items() if name != "README.md"}
