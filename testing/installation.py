"""The overlay `local` with all that a test adds: volumes, a model of htdemucs' size, a receiver.

The volumes are folders of the cluster's one node, which is this machine unless CLUSTER_VOLUMES
names where the node sees it otherwise.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from functions.separate.engine.openvino_backend import exported_model
from local.binaries import CACHE
from microdemucs.paths import ROOT
from testing.kube import NAMESPACE, attempt, kubectl, pods, read
from testing.waiting import wait_until

MODEL = "htdemucs"
RECEIVER = Path(__file__).with_name("receiver.py")
_FLAGS = {
    "config-autoscaler": {"allow-zero-initial-scale": "true"},
    "config-features": {"kubernetes.podspec-persistent-volume-claim": "enabled"},
}
_VOLUMES = {"data-minio-0": "20Gi", "data-nats-0": "2Gi", "models": "2Gi"}


@contextmanager
def installed(model: Path, overlay: str = "eventing") -> Iterator[None]:
    """The service with a receiver beside it, on the cluster that KUBECONFIG names.

    `model` is the exported one that the volume of models gets. Raises SystemExit where there is no
    such cluster, or somebody's installation in it: the namespace is the lock.
    """
    if not os.environ.get("KUBECONFIG"):
        raise SystemExit("KUBECONFIG names no cluster: knative/README.md tells how to have one")
    if attempt("create", "namespace", NAMESPACE).returncode:
        raise SystemExit("this cluster has a micro-demucs already, which would be overwritten")
    # not below TMPDIR, which the node may see otherwise
    folder = Path(tempfile.mkdtemp(prefix="micro-demucs-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        prepare(folder, model)
        install(overlay, folder / "overlay")
        compile_model()
        receive()
        yield
    finally:
        remove(folder)


def full_model() -> Path:
    """The exported form of a network of htdemucs' size, made now or before."""
    folder = CACHE / "benchmark/exported-random"
    command = [sys.executable, "-m", "testing.full_model", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    return folder


def prepare(folder: Path, model: Path) -> None:
    """What the overlay needs of a cluster: Knative's flags, and volumes in `folder`."""
    for name, data in _FLAGS.items():
        patch = json.dumps({"data": data})
        wait_until(
            lambda name=name, patch=patch: (
                not attempt(
                    *("patch", "configmap", name, "--type", "merge", "-p", patch),
                    within="knative-serving",
                ).returncode
            ),
            60,
            "Knative's webhook takes the flags",
        )
    for claim, size in _VOLUMES.items():
        place = folder / claim
        place.mkdir(parents=True)
        place.chmod(0o777)
        volume = _volume(claim, size, place)
        kubectl("apply", "-f", "-", given=json.dumps(volume))
    into = folder / "models" / MODEL
    shutil.copytree(model, into)
    (into / exported_model.COMPILED).mkdir()
    (into / exported_model.COMPILED).chmod(0o777)


def install(overlay: str, into: Path) -> None:
    """Apply an overlay with the component `models`, and wait until it is there."""
    into.mkdir(exist_ok=True)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(ROOT / "knative/overlays" / overlay, into)],
        "components": [os.path.relpath(ROOT / "knative/components/models", into)],
    }
    (into / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    kubectl("apply", "-k", str(into))
    kubectl("wait", "job/provision", "--for=condition=Complete", "--timeout=180s")
    kubectl("wait", "ksvc", "--all", "--for=condition=Ready", "--timeout=120s")
    kubectl("rollout", "status", "deployment", "--timeout=120s")


def compile_model() -> None:
    """As knative/README.md has it: one pod that compiles the volume's model on this node."""
    with Path(__file__).with_name("precompile.yaml").open() as file:
        kubectl("apply", "-f", "-", given=file.read())
    kubectl("wait", "job/precompile", "--for=condition=Complete", "--timeout=180s")
    kubectl("delete", "job/precompile")


def receive() -> None:
    """A receiver of webhooks in the cluster, which prints what it gets."""
    names = {"namespace": NAMESPACE, "file": RECEIVER.read_text()}
    with Path(__file__).with_name("receiver.yaml").open() as file:
        documents = list(yaml.safe_load_all(file))
    for one in documents:
        if one["kind"] == "ConfigMap":
            one["data"] = {"receiver.py": names["file"]}
        kubectl("apply", "-f", "-", given=json.dumps(one))
    kubectl("rollout", "status", "deployment/receiver", "--timeout=60s")


def remove(folder: Path) -> None:
    """Take all of it away; no song that is at work is waited for."""
    attempt("delete", "namespace", NAMESPACE, "--wait=false")
    attempt("delete", "pods", "--all", "--force", "--grace-period=0", "--timeout=60s")
    kubectl("wait", f"namespace/{NAMESPACE}", "--for=delete", "--timeout=200s")
    attempt("delete", "pv", *(volume_of(claim) for claim in _VOLUMES))
    shutil.rmtree(folder, ignore_errors=True)


def configure(**settings: str) -> None:
    """Give the parts other settings, and separate a new revision that has them.

    `cpu` is what a pod of separate may use.
    """
    change: list[dict[str, object]] = []
    if cpu := settings.pop("cpu", ""):
        resources = "/spec/template/spec/containers/0/resources"
        change.append({"op": "replace", "path": f"{resources}/limits/cpu", "value": cpu})
    kubectl(
        "patch", "configmap", "settings", "--type", "merge", "-p", json.dumps({"data": settings})
    )
    turn = "/spec/template/metadata/annotations/turn"
    change.append({"op": "add", "path": turn, "value": str(time.time_ns())})
    before = _revision()
    kubectl("patch", "ksvc", "separate", "--type", "json", "-p", json.dumps(change))
    wait_until(lambda: _revision() != before, 60, "a new revision is ready")


def _revision() -> str:
    return str(read("ksvc", "separate")["status"].get("latestReadyRevisionName", ""))


def logs(lines: int = 60) -> dict[str, str]:
    """The last lines of the bridge, and of each pod of separate."""
    containers = {"deployment/bridge": "bridge"}
    containers |= dict.fromkeys(pods("separate", running=False), "separate")
    return {
        of: attempt("logs", of, "-c", container, f"--tail={lines}").stdout
        for of, container in containers.items()
    }


def at_zero(function: str = "separate", seconds: float = 180) -> None:
    """Wait until the function has no pod, not even one that ends."""
    wait_until(lambda: not pods(function, running=False), seconds, f"{function} at zero pods")


def volume_of(claim: str) -> str:
    """The name of a claim's volume."""
    return f"micro-demucs-{claim}"


def _volume(claim: str, size: str, place: Path) -> dict[str, object]:
    seen = Path(os.environ.get("CLUSTER_VOLUMES") or place.parent) / claim
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_of(claim)},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": NAMESPACE, "name": claim},
            "hostPath": {"path": str(seen)},
        },
    }
