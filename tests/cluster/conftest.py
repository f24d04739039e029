"""One installation for all tests here, on the cluster that KUBECONFIG names."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.binaries import CACHE, ROOT
from tests.cluster import installation
from tests.cluster.service import Service

_MODEL = CACHE / "benchmark/exported-random"


@pytest.fixture(scope="session")
def model() -> Path:
    """The exported form of a network of htdemucs' size."""
    command = [sys.executable, "-m", "tests.cluster.full_model", str(_MODEL)]
    subprocess.run(command, cwd=ROOT, check=True)
    return _MODEL


@pytest.fixture(scope="session")
def service(model: Path) -> Iterator[Service]:
    """The overlay `eventing`, which is `local` with a Broker, with a receiver beside it."""
    if not os.environ.get("KUBECONFIG"):
        pytest.exit("KUBECONFIG names no cluster: knative/README.md tells how to have one", 2)
    if installation.is_there():
        pytest.exit("this cluster has a micro-demucs already, which tests would overwrite", 2)
    # not below TMPDIR, which the node may see otherwise
    folder = Path(tempfile.mkdtemp(prefix="micro-demucs-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        installation.prepare(folder, model)
        installation.install("eventing", folder / "overlay")
        installation.compile_model()
        installation.receive()
        yield Service()
    finally:
        installation.remove(folder)


@pytest.fixture
def whole(service: Service) -> Service:
    """The same; nothing is on its way, and no pod of separate is left of the last test."""
    installation.at_zero()
    service.forget()
    return service
