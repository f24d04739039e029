"""Find the references between the documents of an overlay: by name, and by the labels of pods."""

from collections.abc import Iterator
from typing import Any

from tests.integration.knative.rendering import Document, documents, full_name

_BY_NAME = {
    "serviceAccountName": "ServiceAccount",
    "priorityClassName": "PriorityClass",
    "broker": "Broker",
}
_BY_REFERENCE = {  # the kind, and the field that holds the name
    "configMap": ("ConfigMap", "name"),
    "configMapRef": ("ConfigMap", "name"),
    "configMapKeyRef": ("ConfigMap", "name"),
    "secret": ("Secret", "secretName"),
    "secretRef": ("Secret", "name"),
    "secretKeyRef": ("Secret", "name"),
    "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
}
_ANY_KIND = ("ref", "subject")


def references(overlay: str) -> Iterator[tuple[str, str]]:
    """Yield each reference as two full names: the document that refers, and the one it names."""
    for document in documents(overlay):
        for reference in _references_in(document.get("spec")):
            yield full_name(document), reference


def selectors(overlay: str) -> Iterator[tuple[str, Document]]:
    """Yield every selector of pods, with the full name of its document."""
    for document in documents(overlay):
        if document["kind"] == "NetworkPolicy":
            yield full_name(document), document["spec"]["podSelector"]
            for rule in (*document["spec"].get("ingress", []), *document["spec"].get("egress", [])):
                for peer in (*rule.get("from", []), *rule.get("to", [])):
                    if "podSelector" in peer:
                        yield full_name(document), peer["podSelector"]
        elif document["kind"] == "Service" and document["apiVersion"] == "v1":
            yield full_name(document), {"matchLabels": document["spec"]["selector"]}
        elif "selector" in document.get("spec", {}):
            yield full_name(document), document["spec"]["selector"]


def selects(selector: Document, labels: dict[str, str]) -> bool:
    """Return whether a label selector matches a pod with these labels."""
    is_met = {
        "In": lambda rule: labels.get(rule["key"]) in rule["values"],
        "NotIn": lambda rule: labels.get(rule["key"]) not in rule["values"],
        "Exists": lambda rule: rule["key"] in labels,
    }
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        is_met[rule["operator"]](rule) for rule in selector.get("matchExpressions", [])
    )


def _references_in(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _references_in(item)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in _BY_NAME:
                yield f"{_BY_NAME[key]} {inner}"
            elif key in _BY_REFERENCE:
                kind, field = _BY_REFERENCE[key]
                yield f"{kind} {inner[field]}"
            elif key in _ANY_KIND and isinstance(inner, dict):  # an event's subject is text
                yield f"{inner['kind']} {inner['name']}"
            else:
                yield from _references_in(inner)
