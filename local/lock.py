"""`make lock`: resolve requirements/*.txt anew, hashes and versions only. Needs uv."""

import subprocess
from pathlib import Path

from local.binaries import ROOT

LOCKS = {
    "run": ["pyproject.toml", "--extra", "torch", "--extra", "local"],
    "test": ["pyproject.toml", "--extra", "torch", "--extra", "local", "--extra", "dev"],
    "go": ["requirements/go.in"],
}


def lock(name: str, what: list[str]) -> None:
    """Write requirements/<name>.txt. Raises CalledProcessError."""
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-annotate", "--no-header"]
    into = Path("requirements") / f"{name}.txt"
    subprocess.run([*command, *what, "-o", str(into)], cwd=ROOT, check=True)


if __name__ == "__main__":
    for name, what in LOCKS.items():
        lock(name, what)
