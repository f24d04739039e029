"""The overlay `local` with all that a test adds: volumes, a model of htdemucs' size, a receiver.

The volumes are folders of the cluster's one node, which is this machine unless CLUSTER_VOLUMES
names where the node sees it otherwise.
"""

import json
import os
import shutil
from pathlib import Path

import yaml

from functions.separate.engine import exported
from local.binaries import ROOT
from tests.cluster.kube import NAMESPACE, attempt, kubectl, pods, read
from tests.machine import until

MODEL = "htdemucs"
RECEIVER = Path(__file__).with_name("receiver.py")
_FLAGS = {
    "config-autoscaler": {"allow-zero-initial-scale": "true"},
    "config-features": {"kubernetes.podspec-persistent-volume-claim": "enabled"},
}
_VOLUMES = {"data-minio-0": "20Gi", "data-nats-0": "2Gi", "models": "2Gi"}


def prepare(folder: Path, model: Path) -> None:
    """What the overlay needs of a cluster: Knative's flags, and volumes in `folder`."""
    for name, data in _FLAGS.items():
        patch = json.dumps({"data": data})
        until(
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
    (into / exported.COMPILED).mkdir()
    (into / exported.COMPILED).chmod(0o777)


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
    """Take all of it away."""
    attempt("delete", "namespace", NAMESPACE, "--wait=true", "--timeout=200s")
    attempt("delete", "pv", *(volume_of(claim) for claim in _VOLUMES))
    shutil.rmtree(folder, ignore_errors=True)


def at_zero(function: str = "separate", seconds: float = 180) -> None:
    """Wait until the function has no pod, not even one that ends."""
    until(lambda: not pods(function, running=False), seconds, f"{function} at zero pods")


def volume_of(claim: str) -> str:
    """The name of a claim's volume."""
    return f"micro-demucs-{claim}"


def is_there() -> bool:
    """Whether somebody's installation is in the cluster."""
    found = read("namespaces", "-A")["items"]
    return any(one["metadata"]["name"] == NAMESPACE for one in found)


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
