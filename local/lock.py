"""`make lock`: resolve requirements/*.txt anew, hashes and versions only. Needs uv.

The widest comes first and binds the others: one environment may be set up for several kinds in
turn, and no kind changes what another has put there.
"""

import subprocess
from pathlib import Path

from microdemucs.paths import ROOT

_BOUND = ["pyproject.toml", "--constraint", "requirements/bench.txt"]
LOCKS = {
    "bench": ["pyproject.toml", "--all-extras"],
    "test": [*_BOUND, "--extra", "local", "--extra", "torch", "--extra", "dev"],
    "torch": [*_BOUND, "--extra", "local", "--extra", "torch"],
    "run": [*_BOUND, "--extra", "local"],
    "web": ["requirements/web.in", "--constraint", "requirements/bench.txt"],
    "separate": ["requirements/separate.in", "--constraint", "requirements/bench.txt"],
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
