"""What the documents of an overlay refer to: by name, and by the labels of pods."""

from collections.abc import Iterator
from typing import Any

from tests.integration.knative.rendering import Document, called, documents

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
_OF_ANY_KIND = ("ref", "subject")


def references(overlay: str) -> Iterator[tuple[str, str]]:
    """Who refers to what, as "Kind name" both."""
    for one in documents(overlay):
        for reference in _named_in(one.get("spec")):
            yield called(one), reference


def selectors(overlay: str) -> Iterator[tuple[str, Document]]:
    """Every selector of pods, with whose it is."""
    for one in documents(overlay):
        if one["kind"] == "NetworkPolicy":
            yield called(one), one["spec"]["podSelector"]
            for rule in (*one["spec"].get("ingress", []), *one["spec"].get("egress", [])):
                for peer in (*rule.get("from", []), *rule.get("to", [])):
                    if "podSelector" in peer:
                        yield called(one), peer["podSelector"]
        elif one["kind"] == "Service" and one["apiVersion"] == "v1":
            yield called(one), {"matchLabels": one["spec"]["selector"]}
        elif "selector" in one.get("spec", {}):
            yield called(one), one["spec"]["selector"]


def selects(selector: Document, labels: dict[str, str]) -> bool:
    """Whether a label selector of Kubernetes takes a pod with these labels."""
    is_met = {
        "In": lambda one: labels.get(one["key"]) in one["values"],
        "NotIn": lambda one: labels.get(one["key"]) not in one["values"],
        "Exists": lambda one: one["key"] in labels,
    }
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        is_met[one["operator"]](one) for one in selector.get("matchExpressions", [])
    )


def _named_in(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _named_in(one)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in _BY_NAME:
                yield f"{_BY_NAME[key]} {inner}"
            elif key in _BY_REFERENCE:
                kind, field = _BY_REFERENCE[key]
                yield f"{kind} {inner[field]}"
            elif key in _OF_ANY_KIND and isinstance(inner, dict):  # an event has a subject, too
                yield f"{inner['kind']} {inner['name']}"
            else:
                yield from _named_in(inner)
