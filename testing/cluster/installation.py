"""Install the overlay `eventing` with what the tests need: volumes, a large model, a receiver.

The volumes are folders of the cluster's one node. The node is this machine, unless
CLUSTER_VOLUMES names the path at which the node sees them.
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
from functools import partial
from pathlib import Path

import yaml

from functions.separate.engine.openvino_backend import prepared_model
from local.binaries import CACHE
from microdemucs.paths import ROOT
from testing.cluster.kubectl import NAMESPACE, kubectl, pods, read, try_kubectl
from testing.waiting import wait_until

MODEL = "htdemucs"
RECEIVER = Path(__file__).with_name("receiver.py")
_FLAGS = {
    "config-autoscaler": {"allow-zero-initial-scale": "true"},
    "config-features": {"kubernetes.podspec-persistent-volume-claim": "enabled"},
}
_VOLUMES = {"data-minio-0": "20Gi", "data-nats-0": "2Gi", "models": "2Gi"}


@contextmanager
def installed(model: Path, scale_down_delay: str = "") -> Iterator[None]:
    """Install the service and a webhook receiver on the cluster that KUBECONFIG names.

    `model` is the folder of a model for the volume of models. `scale_down_delay` is how long
    a pod of separate stays after its last song (default: as in the manifests). Raises SystemExit
    if there is no such cluster, or if it has the namespace already, which serves as the lock.
    """
    if not os.environ.get("KUBECONFIG"):
        raise SystemExit("KUBECONFIG is not set: knative/README.md says how to set up a cluster")
    if try_kubectl("create", "namespace", NAMESPACE).returncode:
        raise SystemExit(f"the cluster already has a namespace {NAMESPACE}: remove it first")
    # not below TMPDIR, which may be another folder on the node
    folder = Path(tempfile.mkdtemp(prefix="micro-demucs-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        prepare(folder, model)
        install(folder / "overlay", scale_down_delay)
        prepare_model()
        install_receiver()
        yield
    finally:
        remove(folder)


def full_model() -> Path:
    """Return the folder of a model of htdemucs' size; write it if needed."""
    folder = CACHE / "benchmark/random-model"
    command = [sys.executable, "-m", "testing.cluster.full_model", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    return folder


def prepare(folder: Path, model: Path) -> None:
    """Set Knative's flags, and create volumes in `folder`, with the model in one of them."""
    for name, data in _FLAGS.items():
        patch = json.dumps({"data": data})
        wait_until(partial(_set_flags, name, patch), 60, "Knative's webhook accepts the flags")
    for claim, size in _VOLUMES.items():
        (folder / claim).mkdir(parents=True)
        (folder / claim).chmod(0o777)
        volume = _volume(claim, size, folder / claim)
        kubectl("apply", "-f", "-", stdin=json.dumps(volume))
    target = folder / "models" / MODEL
    shutil.copytree(model, target)
    (target / prepared_model.COMPILED).mkdir()
    (target / prepared_model.COMPILED).chmod(0o777)


def _set_flags(name: str, patch: str) -> bool:
    command = ("patch", "configmap", name, "--type", "merge", "-p", patch)
    return try_kubectl(*command, namespace="knative-serving").returncode == 0


def install(folder: Path, scale_down_delay: str) -> None:
    """Apply `eventing` with the component `models`, through a kustomization in `folder`.

    It returns when all components are ready.
    """
    folder.mkdir(exist_ok=True)
    kustomization: dict[str, object] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(ROOT / "knative/overlays/eventing", folder)],
        "components": [os.path.relpath(ROOT / "knative/components/models", folder)],
    }
    if scale_down_delay:
        delay = "/spec/template/metadata/annotations/autoscaling.knative.dev~1scale-down-delay"
        change = {"op": "replace", "path": delay, "value": scale_down_delay}
        target = {"group": "serving.knative.dev", "kind": "Service", "name": "separate"}
        kustomization["patches"] = [{"target": target, "patch": json.dumps([change])}]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    kubectl("apply", "-k", str(folder))
    kubectl("apply", "-f", str(ROOT / "knative/components/fetch-models/network.yaml"))
    kubectl("wait", "job/provision", "--for=condition=Complete", "--timeout=180s")
    kubectl("wait", "ksvc", "--all", "--for=condition=Ready", "--timeout=120s")
    # a Trigger gets no event from before it is ready
    kubectl("wait", "broker,trigger", "--all", "--for=condition=Ready", "--timeout=120s")
    kubectl("rollout", "status", "deployment", "--timeout=120s")


def prepare_model() -> None:
    """Prepare the volume's model on the node, with the Job that knative/README.md shows."""
    with Path(__file__).with_name("prepare.yaml").open() as file:
        kubectl("apply", "-f", "-", stdin=file.read())
    kubectl("wait", "job/prepare", "--for=condition=Complete", "--timeout=180s")
    kubectl("delete", "job/prepare")


def install_receiver() -> None:
    """Start a webhook receiver in the cluster, which prints what it receives."""
    with Path(__file__).with_name("receiver.yaml").open() as file:
        documents = list(yaml.safe_load_all(file))
    for document in documents:
        if document["kind"] == "ConfigMap":
            document["data"] = {"receiver.py": RECEIVER.read_text()}
        kubectl("apply", "-f", "-", stdin=json.dumps(document))
    kubectl("rollout", "status", "deployment/receiver", "--timeout=60s")


def remove(folder: Path) -> None:
    """Delete everything, without waiting for songs in work."""
    try_kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    try_kubectl("delete", "pods", "--all", "--force", "--grace-period=0", "--timeout=60s")
    kubectl("wait", f"namespace/{NAMESPACE}", "--for=delete", "--timeout=200s")
    try_kubectl("delete", "pv", *(_volume_name(claim) for claim in _VOLUMES))
    shutil.rmtree(folder, ignore_errors=True)


def configure(**settings: str) -> None:
    """Change the settings of all components, and start a new revision of separate with them.

    `cpu` is the CPU limit of a pod of separate.
    """
    changes: list[dict[str, object]] = []
    if cpu := settings.pop("cpu", ""):
        resources = "/spec/template/spec/containers/0/resources"
        changes.append({"op": "replace", "path": f"{resources}/limits/cpu", "value": cpu})
    kubectl(
        "patch", "configmap", "settings", "--type", "merge", "-p", json.dumps({"data": settings})
    )
    annotation = "/spec/template/metadata/annotations/turn"
    changes.append({"op": "add", "path": annotation, "value": str(time.time_ns())})
    previous = _revision()
    kubectl("patch", "ksvc", "separate", "--type", "json", "-p", json.dumps(changes))
    wait_until(lambda: _revision() != previous, 60, "a new revision is ready")


def _revision() -> str:
    return str(read("ksvc", "separate")["status"].get("latestReadyRevisionName", ""))


def logs(lines: int = 60) -> dict[str, str]:
    """Return the last lines of the bridge, of the example's Trigger and of pods of separate."""
    containers = {"deployment/bridge": "bridge", "deployment/example": "example"}
    containers |= dict.fromkeys(pods("separate", running=False), "separate")
    return {
        pod: try_kubectl("logs", pod, "-c", container, f"--tail={lines}").stdout
        for pod, container in containers.items()
    }


def wait_until_zero(function: str = "separate", seconds: float = 180) -> None:
    """Wait until the function has no pod, not even one that is ending."""
    wait_until(lambda: not pods(function, running=False), seconds, f"{function} has no pods")


def _volume_name(claim: str) -> str:
    return f"micro-demucs-{claim}"


def _volume(claim: str, size: str, folder: Path) -> dict[str, object]:
    path_on_node = Path(os.environ.get("CLUSTER_VOLUMES") or folder.parent) / claim
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": _volume_name(claim)},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": NAMESPACE, "name": claim},
            "hostPath": {"path": str(path_on_node)},
        },
    }
