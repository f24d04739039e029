"""Resolve pyproject.toml and requirements/*.in into requirements/*.txt (`make lock`). Needs uv.

The largest set is resolved first and constrains the others. So one environment can be set up for
several kinds of work in turn, and no kind changes a version that another has installed.
"""

import subprocess
from pathlib import Path

from microdemucs.paths import ROOT

_CONSTRAINED = ["pyproject.toml", "--constraint", "requirements/bench.txt"]
LOCKS = {
    "bench": ["pyproject.toml", "--all-extras"],
    "test": [*_CONSTRAINED, "--extra", "local", "--extra", "torch", "--extra", "dev"],
    "torch": [*_CONSTRAINED, "--extra", "local", "--extra", "torch"],
    "run": [*_CONSTRAINED, "--extra", "local"],
    "web": ["requirements/web.in", "--constraint", "requirements/bench.txt"],
    "upload": ["requirements/upload.in", "--constraint", "requirements/bench.txt"],
    "separate": ["requirements/separate.in", "--constraint", "requirements/bench.txt"],
    "go": ["requirements/go.in"],
}


def lock(name: str, sources: list[str]) -> None:
    """Write requirements/<name>.txt: versions and hashes only. Raises CalledProcessError."""
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-annotate", "--no-header"]
    output = Path("requirements") / f"{name}.txt"
    subprocess.run([*command, *sources, "-o", str(output)], cwd=ROOT, check=True)


if __name__ == "__main__":
    for name, sources in LOCKS.items():
        lock(name, sources)
