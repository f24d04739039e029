"""Write schemas/: a schema for each kind that knative/ uses, from the modules of its authors.

`make schemas` runs this after a version or a kind here has changed; it needs Go and a network. The
schemas are stricter than a cluster: they refuse unknown fields at any depth. They have no
descriptions, and no status, because manifests never contain it.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = "k8s.io/kubernetes@v1.34.4"
SERVING = "knative.dev/serving@v0.49.1"
EVENTING = "knative.dev/eventing@v0.49.2"
SCHEMAS = Path(__file__).with_name("schemas")

_BUILT_IN = (
    "core.v1.ConfigMap",
    "core.v1.Namespace",
    "core.v1.PersistentVolumeClaim",
    "core.v1.Secret",
    "core.v1.Service",
    "core.v1.ServiceAccount",
    "apps.v1.Deployment",
    "apps.v1.StatefulSet",
    "batch.v1.Job",
    "networking.v1.NetworkPolicy",
    "policy.v1.PodDisruptionBudget",
    "scheduling.v1.PriorityClass",
)
_CUSTOM = {
    SERVING: ("300-resources/service",),
    EVENTING: ("resources/broker", "resources/sinkbindings", "resources/trigger"),
}
# Knative's own schemas leave open what they take from Kubernetes: metadata, and the fields of a pod
# that need feature flags. A Knative Service has the form of a Deployment, so that schema is used.
_LIKE = "io.k8s.api.apps.v1.Deployment"
_TOP = ("apiVersion", "kind", "metadata")
_SHARED = "definitions.json"
_REF = "#/definitions/"
_QUANTITY = r"^[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$"
_TWO_TYPES: dict[str, dict[str, Any]] = {  # swagger 2 cannot describe a value of two JSON types
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["integer", "string"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {
        "type": ["number", "string"],
        "pattern": _QUANTITY,
    },
}

Schema = dict[str, Any]


class Strict:
    """Makes schemas strict; `needed` has the shared definitions that they refer to."""

    def __init__(self, definitions: dict[str, Schema]) -> None:
        self._definitions = definitions
        self.needed: dict[str, Schema] = {}

    def built_in(self, name: str) -> Schema:
        """Return a reference to a definition, and add it and its own references to `needed`."""
        if name not in self.needed:
            self.needed[name] = {}  # some definitions refer to themselves
            self.needed[name] = _TWO_TYPES.get(name) or self.of(self._definitions[name])
        return {"$ref": f"{_SHARED}{_REF}{name}"}

    def of(self, schema: Schema, like: Schema | None = None) -> Schema:
        """Return the schema made strict; if it is open, `like` replaces it."""
        if "$ref" in schema:
            return self.built_in(schema["$ref"].removeprefix(_REF))
        if schema.get("x-kubernetes-int-or-string"):
            return {"type": ["integer", "string"], **_only(schema, "pattern")}
        inside = self._resolved(like)
        if schema.get("type") == "object" and not {"properties", "additionalProperties"} & {
            *schema
        }:
            return self.of(like) if like else {"type": "object"}
        strict = _only(schema, "type", "required")
        if "properties" in schema:
            similar = inside.get("properties", {})
            strict["properties"] = {
                name: self.of(inner, similar.get(name))
                for name, inner in schema["properties"].items()
            }
            strict["additionalProperties"] = False
        for keyword in ("items", "additionalProperties"):
            if keyword in schema:
                strict[keyword] = self.of(schema[keyword], inside.get(keyword))
        return strict

    def _resolved(self, like: Schema | None) -> Schema:
        if like and "$ref" in like:
            return self._definitions[like["$ref"].removeprefix(_REF)]
        return like or {}


def main() -> None:
    """Write all schemas."""
    swagger = _folder(KUBERNETES) / "api/openapi-spec/swagger.json"
    definitions = json.loads(swagger.read_text())["definitions"]
    strict = Strict(definitions)
    for old in SCHEMAS.glob("*.json"):
        old.unlink()
    for name in _BUILT_IN:
        group, version, kind = name.split(".")
        definition = f"io.k8s.api.{name}"
        definitions[definition]["properties"].pop("status", None)
        _write(kind, "" if group == "core" else group, version, strict.built_in(definition))
    like = definitions[_LIKE]
    for module, files in _CUSTOM.items():
        for file in files:
            text = (_folder(module) / f"config/core/{file}.yaml").read_text()
            spec = yaml.safe_load(text)["spec"]
            [version] = spec["versions"]
            schema = version["schema"]["openAPIV3Schema"]
            schema["properties"].pop("status")
            schema["properties"] |= {name: like["properties"][name] for name in _TOP}
            kind, group = spec["names"]["kind"], spec["group"].split(".")[0]
            _write(kind, group, version["name"], strict.of(schema, like))
    lines = [f"{_compact(n)}:{_compact(strict.needed[n])}" for n in sorted(strict.needed)]
    (SCHEMAS / _SHARED).write_text('{"definitions":{\n' + ",\n".join(lines) + "\n}}\n")


def _folder(module: str) -> Path:
    output = subprocess.run(
        ["go", "mod", "download", "-json", module],
        cwd=SCHEMAS.parent,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return Path(json.loads(output)["Dir"])


def _write(kind: str, group: str, version: str, schema: Schema) -> None:
    name = "-".join(
        filter(None, (kind.lower(), group, version))
    )  # the name that kubeconform looks for
    (SCHEMAS / f"{name}.json").write_text(_compact(schema) + "\n")


def _only(schema: Schema, *keywords: str) -> Schema:
    return {keyword: schema[keyword] for keyword in keywords if keyword in schema}


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


if __name__ == "__main__":
    main()
