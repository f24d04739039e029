"""Render an overlay with kustomize, and find documents in it."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from local.binaries import KUSTOMIZE
from microdemucs.paths import ROOT

Document = dict[str, Any]


@cache
def rendered(name: str) -> str:
    """Return the overlay's YAML; "… with models" adds the component `models`."""
    overlay, _, component = name.partition(" with ")
    overlays = ROOT / "knative/overlays"
    if not component:
        return _build(overlays / overlay)
    with tempfile.TemporaryDirectory() as folder:
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(overlays / overlay, folder)],
            "components": [os.path.relpath(ROOT / "knative/components" / component, folder)],
        }
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return _build(Path(folder))


def documents(overlay: str, kind: str = "") -> list[Document]:
    """Return the overlay's documents, all or those of a kind."""
    parsed = yaml.load_all(rendered(overlay), yaml.CSafeLoader)
    return [document for document in parsed if kind in ("", document["kind"])]


def templates(overlay: str) -> dict[str, Document]:
    """Return every pod template by its full name, with the label that Knative adds."""
    found = {}
    for document in documents(overlay):
        template = document.get("spec", {}).get("template")
        if template:
            name = document["metadata"]["name"]
            template.setdefault("metadata", {}).setdefault("labels", {})
            if document["apiVersion"].startswith("serving.knative.dev/"):
                template["metadata"]["labels"]["serving.knative.dev/service"] = name
            found[full_name(document)] = template
    return found


def containers(template: Document) -> Iterator[Document]:
    """Yield all containers of a template, including init containers."""
    pod = template["spec"]
    yield from pod.get("initContainers", [])
    yield from pod["containers"]


def full_name(document: Document) -> str:
    """Return "Kind name"."""
    return f"{document['kind']} {document['metadata']['name']}"


def _build(folder: Path) -> str:
    command = [str(KUSTOMIZE.binary), "build", str(folder)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return built.stdout
