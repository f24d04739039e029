"""An overlay as kustomize renders it, and what is looked for in it."""

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
    """The overlay's YAML; "… with models" has the component `models`, too."""
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
    """The overlay's documents, all or those of a kind."""
    every = yaml.load_all(rendered(overlay), yaml.CSafeLoader)
    return [one for one in every if kind in ("", one["kind"])]


def templates(overlay: str) -> dict[str, Document]:
    """Every template of pods, by "Kind name"; a function's pods have the label Knative gives."""
    found = {}
    for one in documents(overlay):
        template = one.get("spec", {}).get("template")
        if template:
            name = one["metadata"]["name"]
            template.setdefault("metadata", {}).setdefault("labels", {})
            if one["apiVersion"].startswith("serving.knative.dev/"):
                template["metadata"]["labels"]["serving.knative.dev/service"] = name
            found[called(one)] = template
    return found


def containers(template: Document) -> Iterator[Document]:
    """All containers of a template, those that only start it, too."""
    pod = template["spec"]
    yield from pod.get("initContainers", [])
    yield from pod["containers"]


def called(document: Document) -> str:
    """ "Kind name"."""
    return f"{document['kind']} {document['metadata']['name']}"


def _build(folder: Path) -> str:
    command = [str(KUSTOMIZE.binary), "build", str(folder)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return built.stdout
