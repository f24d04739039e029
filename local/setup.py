"""Set up this clone: `python3 -m local.setup [run|models|torch|test|bench]`. Standard library only.

It installs pinned, hashed packages into .venv, and builds MinIO, mc and the tests' programs into a
cache that all clones share. It leaves alone what is already there.

Each kind has the packages of the one before it, and more:
run     `make run` on a CPU; with --model its model, too, while the programs are being built
models  the same packages without the programs, to fetch and prepare models
torch   torch and demucs, which read pickles and run on a GPU
test    the tests
bench   the programs that benchmarks compare with
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

from local.binaries import KUBECONFORM, KUSTOMIZE, MC, MINIO, build
from local.model_fetch import ModelFetch
from local.progress_bar import ProgressBar
from microdemucs.paths import ROOT

VENV = ROOT / ".venv"
PYTHON = VENV / "bin/python"
_PACKAGES_GB = {"run": 2, "models": 2, "torch": 9, "test": 9, "bench": 9}  # includes pip's cache
PROGRAMS = {
    "run": (MC, MINIO),
    "models": (),  # a machine that only fetches models runs no store
    "torch": (),
    "test": (MC, MINIO, KUSTOMIZE, KUBECONFORM),
    "bench": (MC, MINIO),
}
_TEST_PROGRAMS = {  # the package, and the programs that will do; Firefox needs a sound server
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "firefox-esr": ("firefox-esr", "firefox"),
    "pulseaudio": ("pulseaudio",),
}


class CannotSetUp(SystemExit):
    """Something is missing; the text says what to do."""


def set_up(kind: str, *, with_model: bool = False) -> None:
    """Install what `kind` of work needs, and fetch the default model. Raises CannotSetUp."""
    if kind not in _PACKAGES_GB:
        raise CannotSetUp(f"unknown kind {kind!r}: use one of {', '.join(_PACKAGES_GB)}")
    if not (3, 11) <= sys.version_info[:2] < (3, 15):
        raise CannotSetUp(
            f"Python {sys.version.split()[0]} is not supported: install 3.11, 3.12, 3.13 or 3.14"
        )
    _install_packages("run" if kind == "models" else kind)
    if with_model:
        with ModelFetch(PYTHON) as model:
            build(PROGRAMS[kind], pip_install, lambda: model.note)
            model.finish()
    else:
        build(PROGRAMS[kind], pip_install)
    if kind == "test":
        _install_test_programs()


def _install_packages(kind: str) -> None:
    lock = ROOT / f"requirements/{kind}.txt"
    digest = sha256(lock.read_bytes()).hexdigest()[:16]
    stamp = VENV / f"installed-{kind}"
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == digest:
        return
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < _PACKAGES_GB[kind]:
        raise CannotSetUp(
            f"{free:.1f} GB of free space, but {_PACKAGES_GB[kind]} GB are needed: free some"
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

    def progress(collected: int) -> float:
        installed = sum(1 for _ in site.glob("*.dist-info"))
        return (min(collected, packages) + min(installed, packages)) / (2 * packages)

    with ProgressBar("installing packages") as bar:
        pip_install("-r", str(lock), report=lambda collected: bar.update(progress(collected)))
    stamp.write_text(digest)


def pip_install(*arguments: str, report: Callable[[int], None] = lambda _: None) -> None:
    """Install with the environment's pip, hashes required. Raises CannotSetUp.

    `report` is called twice per second with the number of packages that pip has collected.
    """
    command = [str(PYTHON), "-m", "pip", "install", "--require-hashes", "--no-input", *arguments]
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines: list[str] = []
    with _every(0.5, lambda: report(sum(line.startswith("Collecting") for line in lines))):
        for line in pip.stdout or ():
            lines.append(line.strip())
        pip.wait()
    if pip.returncode:
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
        raise CannotSetUp(
            f"pip cannot install the packages: {errors[-1] if errors else 'no message'}. "
            "Is there a network, and free space on the disk?"
        )


@contextmanager
def _every(seconds: float, action: Callable[[], None]) -> Iterator[None]:
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(seconds):
            action()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _install_test_programs() -> None:
    """Install what is missing if this user may; otherwise the tests say how to do it."""
    packages = [
        name for name, programs in _TEST_PROGRAMS.items() if not any(map(shutil.which, programs))
    ]
    if not packages or os.geteuid() or not shutil.which("apt-get"):
        return
    with ProgressBar(f"installing {' and '.join(packages)}"):
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        ):
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            )
            if done.returncode:
                errors = done.stderr.strip().splitlines()[-1:]
                print(f"cannot install {' and '.join(packages)}: {errors}")
                return


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--model"]
    try:
        set_up(arguments[0] if arguments else "run", with_model="--model" in sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)
