"""Run the Job of the component fetch-models on the cluster, with a hub inside the cluster."""

import json
import os
import tempfile
from pathlib import Path

import yaml

from microdemucs.paths import ROOT
from testing.cluster.kubectl import kubectl, try_kubectl

_HERE = Path(__file__).parent
_CODE = {"hub.py": _HERE / "hub.py", "hub_server.py": _HERE.parent / "hub_server.py"}


def start_hub() -> None:
    """Start the hub of hub.py in the namespace."""
    with (_HERE / "hub.yaml").open() as file:
        documents = list(yaml.safe_load_all(file))
    for document in documents:
        if document["kind"] == "ConfigMap":
            document["data"] = {name: path.read_text() for name, path in _CODE.items()}
        kubectl("apply", "-f", "-", stdin=json.dumps(document))
    kubectl("rollout", "status", "deployment/hub", "--timeout=60s")


def stop_hub() -> None:
    """Remove the hub and the Job."""
    try_kubectl("delete", "job/models", "--ignore-not-found")
    try_kubectl("delete", "-f", str(_HERE / "hub.yaml"), "--ignore-not-found")


def fetch(*names: str) -> str:
    """Run the Job for these models, from the hub in the namespace; return what it printed."""
    container = "/spec/template/spec/containers/0"
    changes = [
        {"op": "replace", "path": f"{container}/args", "value": list(names)},
        {
            "op": "add",
            "path": f"{container}/env",
            "value": [{"name": "HF_ENDPOINT", "value": "http://hub.micro-demucs.svc"}],
        },
    ]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "components": [os.path.relpath(ROOT / "knative/components/fetch-models", folder)],
            "patches": [
                {"target": {"kind": "Job", "name": "models"}, "patch": json.dumps(changes)}
            ],
        }
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        try_kubectl("delete", "job/models", "--ignore-not-found")
        kubectl("apply", "-k", folder)
    kubectl("wait", "job/models", "--for=condition=Complete", "--timeout=180s")
    return kubectl("logs", "job/models")
