"""Set up this clone: `python3 -m local.setup [run|torch|test|bench]`. Standard library only.

A virtual environment with pinned, hashed packages; MinIO, mc and what the tests need built once
into a cache that all clones share. What is there already is left alone.

Each kind has the packages of the one before it and more: what `make run` needs on a CPU; torch
and demucs, which export models and serve on a GPU; what the tests need; what ours is measured
against.
"""

import os
import shutil
import subprocess
import sys
import threading
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256

from local.bar import Bar
from local.binaries import KUBECONFORM, KUSTOMIZE, MC, MINIO, build
from microdemucs.paths import ROOT

VENV = ROOT / ".venv"
PYTHON = VENV / "bin/python"
_PACKAGES_GB = {"run": 2, "torch": 9, "test": 9, "bench": 9}  # with pip's own copies
PROGRAMS = {
    "run": (MC, MINIO),
    "torch": (),  # a machine that only fetches and exports models runs no store
    "test": (MC, MINIO, KUSTOMIZE, KUBECONFORM),
    "bench": (MC, MINIO),
}


class CannotSetUp(SystemExit):
    """Something is missing; the text says what to do."""


def set_up(kind: str) -> None:
    """Make everything that a kind of work needs: run, torch, test or bench. Raises CannotSetUp."""
    if kind not in _PACKAGES_GB:
        raise CannotSetUp(f"{kind!r} is none of {', '.join(_PACKAGES_GB)}")
    if not (3, 11) <= sys.version_info[:2] < (3, 15):
        raise CannotSetUp(
            f"Python {sys.version.split()[0]} is not 3.11 to 3.14: install one of them"
        )
    _environment(kind)
    build(PROGRAMS[kind], pip_install)
    if kind == "test":
        _browser()


def _environment(kind: str) -> None:
    lock = ROOT / f"requirements/{kind}.txt"
    wanted = sha256(lock.read_bytes()).hexdigest()[:16]
    stamp = VENV / f"installed-{kind}"
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < _PACKAGES_GB[kind]:
        raise CannotSetUp(
            f"{free:.1f} GB are free here and {_PACKAGES_GB[kind]} are needed: make room"
        )
    if not PYTHON.exists():
        try:
            venv.create(VENV, with_pip=True, symlinks=True)
        except (subprocess.CalledProcessError, ImportError):
            shutil.rmtree(VENV, ignore_errors=True)
            raise CannotSetUp(
                "Python's venv module is missing: apt-get install python3-venv"
            ) from None
    site = next((VENV / "lib").glob("python3.*/site-packages"))
    packages = sum(1 for line in lock.read_text().splitlines() if "==" in line)

    def done(collected: int) -> float:
        installed = sum(1 for _ in site.glob("*.dist-info"))
        return (min(collected, packages) + min(installed, packages)) / (2 * packages)

    with Bar("packages") as bar:
        pip_install("-r", str(lock), watch=lambda collected: bar.at(done(collected)))
    stamp.write_text(wanted)


def pip_install(*what: str, watch: Callable[[int], None] = lambda collected: None) -> None:
    """Install with the environment's pip, hashes required.

    `watch` hears, twice a second, how many packages pip has looked at.
    Raises CannotSetUp.
    """
    command = [str(PYTHON), "-m", "pip", "install", "--require-hashes", "--no-input", *what]
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    collected = [0]
    said: list[str] = []
    with _every(0.5, lambda: watch(collected[0])):
        for line in pip.stdout or ():
            collected[0] += line.startswith("Collecting")
            said.append(line.strip())
        pip.wait()
    if pip.returncode:
        errors = [line for line in said if line.startswith("ERROR")] or said[-1:]
        raise CannotSetUp(
            f"pip could not install the packages: {errors[-1] if errors else 'no message'}. "
            "Is there a network, and room on the disk?"
        )


@contextmanager
def _every(seconds: float, do: Callable[[], None]) -> Iterator[None]:
    over = threading.Event()

    def again() -> None:
        while not over.wait(seconds):
            do()

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _browser() -> None:
    """Chromium for the browser tests, where this may install it; else they say how to get it."""
    if (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    ):
        return
    if os.geteuid() or not shutil.which("apt-get"):
        return
    with Bar("chromium"):
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"],
        ):
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            )
            if done.returncode:
                print(f"chromium could not be installed: {done.stderr.strip().splitlines()[-1:]}")
                return


if __name__ == "__main__":
    set_up(sys.argv[1] if len(sys.argv) > 1 else "run")
