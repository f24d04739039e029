"""Check each overlay as a cluster would receive it.

The schemas are those of Kubernetes and Knative, in the versions that make_schemas.py names.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from local import images
from local.binaries import KUBECONFORM
from microdemucs.paths import ROOT
from tests.integration.knative.references import references, selectors, selects
from tests.integration.knative.rendering import (
    Document,
    containers,
    documents,
    full_name,
    rendered,
    templates,
)

SCHEMAS = Path(__file__).with_name("schemas") / "{{.ResourceKind}}{{.KindSuffix}}.json"
OVERLAYS = (
    *("local", "production", "eventing", "gpu"),
    *("local with models", "production with models", "gpu with models"),
    *("local with fetch-models", "production with fetch-models"),
    *("local with fetch-models-to-volume", "gpu with fetch-models-to-volume"),
)
POD = "spec template spec"
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def refusals(text: str) -> list[str]:
    """Return what is wrong with these documents, according to kubeconform."""
    command = [str(KUBECONFORM.binary), "-strict", "-output", "json", "-summary"]
    command += ["-schema-location", str(SCHEMAS)]
    output = subprocess.run(command, input=text, capture_output=True, text=True).stdout
    result = json.loads(output)
    assert result["summary"]["skipped"] == 0
    return [f"{found['kind']} {found['name']}: {found['msg']}" for found in result["resources"]]


@each_overlay
def test_every_document_matches_the_schema_of_its_kind(overlay: str) -> None:
    assert refusals(rendered(overlay)) == []


@pytest.mark.parametrize(
    ("overlay", "kind", "path", "mistake"),
    [
        ("local", "ConfigMap settings", "", {"dta": {}}),
        ("local", "Deployment bridge", "metadata", {"lables": {}}),
        ("local", "Deployment bridge", f"{POD} containers 0", {"commands": []}),
        ("local", "Job provision", f"{POD} containers 0 resources limits", {"memory": "1Gib"}),
        ("local", "StatefulSet nats", "spec volumeClaimTemplates 0 spec", {"accessMode": []}),
        ("local", "NetworkPolicy names", "spec egress 0 ports 0", {"prot": 53}),
        ("local", "Service separate", POD, {"timeout": 600}),
        ("local", "Service separate", f"{POD} volumes 0 emptyDir", {"size": "1Gi"}),
        ("local", "Service upload", "metadata", {"namespaced": "x"}),
        ("local", "Service notify", POD, {"containerConcurrency": "24"}),
        ("local with models", "PersistentVolumeClaim models", "spec", {"accessMode": []}),
        ("local with fetch-models", "Job models", f"{POD} containers 0", {"arg": []}),
        ("local with fetch-models-to-volume", "Job models", f"{POD} volumes 1", {"claim": "x"}),
        ("production", "Service separate", f"{POD} topologySpreadConstraints 0", {"skew": 1}),
        ("production", "PodDisruptionBudget upload", "spec", {"maxUnvailable": 1}),
        ("gpu", "Service separate", f"{POD} tolerations 0", {"efect": "x"}),
        ("eventing", "Broker results", "spec delivery", {"retries": 10}),
        ("eventing", "Trigger example", "spec", {"filtres": []}),
        ("eventing", "SinkBinding results", "spec subject", {"names": "x"}),
    ],
)
def test_an_unknown_or_wrong_field_is_refused(
    overlay: str, kind: str, path: str, mistake: Document
) -> None:
    [document] = [d for d in documents(overlay) if full_name(d) == kind and is_ours(d)]
    parent: Any = document
    for step in path.split():
        parent = parent[int(step) if step.isdigit() else step]
    parent |= mistake
    [refusal] = refusals(yaml.safe_dump(document))
    assert refusal.startswith(f"{kind}: ")


def test_a_duplicate_field_is_refused() -> None:
    twice = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {}\ndata: {a: b}\n"
    assert "already set" in str(refusals(twice))


@each_overlay
def test_every_container_satisfies_the_restricted_pod_security_standard(overlay: str) -> None:
    allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
    for owner, template in templates(overlay).items():
        pod = template["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), owner
        for volume in pod.get("volumes", []):
            assert volume.keys() - {"name"} <= allowed, f"{owner}: {volume}"
        for container in containers(template):
            context = container["securityContext"]
            assert context["runAsNonRoot"] is True, owner
            assert context["runAsUser"] != 0, owner
            assert context["allowPrivilegeEscalation"] is False, owner
            assert context["capabilities"] == {"drop": ["ALL"]}, owner
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}, owner
            assert not context.get("privileged"), owner
            assert not [port for port in container.get("ports", []) if "hostPort" in port], owner


@each_overlay
def test_no_container_can_write_to_its_image(overlay: str) -> None:
    for owner, template in templates(overlay).items():
        for container in containers(template):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, owner


@each_overlay
def test_every_container_has_resource_requests_and_limits(overlay: str) -> None:
    for owner, template in templates(overlay).items():
        for container in containers(template):
            requests, limits = container["resources"]["requests"], container["resources"]["limits"]
            shared = {"memory"} if "nvidia.com/gpu" in limits else {"memory", "cpu"}
            assert shared <= requests.keys() & limits.keys(), owner


@each_overlay
def test_no_pod_has_a_token_for_the_api_server(overlay: str) -> None:
    without = {
        account["metadata"]["name"]
        for account in documents(overlay, "ServiceAccount")
        if account.get("automountServiceAccountToken") is False
    }
    for owner, template in templates(overlay).items():
        pod = template["spec"]
        assert pod["serviceAccountName"] in without, owner
        assert not pod.get("automountServiceAccountToken"), owner
        assert "serviceAccountToken" not in json.dumps(pod.get("volumes", [])), owner


@each_overlay
def test_every_function_has_probes(overlay: str) -> None:
    for owner in ("separate", "upload", "notify"):
        [container] = templates(overlay)[f"Service {owner}"]["spec"]["containers"]
        assert {"livenessProbe", "readinessProbe"} <= container.keys(), owner


@each_overlay
def test_every_reference_exists_in_the_overlay_or_in_the_readmes_secrets(overlay: str) -> None:
    existing = {full_name(document) for document in documents(overlay)}
    existing |= {f"Secret {name}" for name in secrets_in_the_readme()}
    missing = [f"{a} -> {b}" for a, b in references(overlay) if b not in existing]
    assert missing == []


def test_only_the_local_overlays_contain_secrets() -> None:
    assert {o for o in OVERLAYS if documents(o, "Secret")} == {
        *("local", "eventing", "local with models"),
        *("local with fetch-models", "local with fetch-models-to-volume"),
    }


def test_the_secrets_in_the_readme_have_the_names_and_keys_of_the_local_ones() -> None:
    local = {d["metadata"]["name"]: {*d["data"]} for d in documents("local", "Secret")}
    for name, keys in secrets_in_the_readme().items():
        assert local[name] == keys, name


@each_overlay
def test_make_images_builds_every_image(overlay: str) -> None:
    built = {images.image_name(target) for target in (*images.TARGETS, *images.OTHER_TARGETS)}
    used = {c["image"] for t in templates(overlay).values() for c in containers(t)}
    assert used <= built


@each_overlay
def test_the_largest_number_of_pods_is_the_number_of_songs_sent_at_the_same_time(
    overlay: str,
) -> None:
    [settings] = [
        d for d in documents(overlay, "ConfigMap") if full_name(d) == "ConfigMap settings"
    ]
    annotations = templates(overlay)["Service separate"]["metadata"]["annotations"]
    concurrency = settings["data"]["SEPARATE_CONCURRENCY"]
    assert annotations["autoscaling.knative.dev/max-scale"] == concurrency


def test_a_gpu_can_use_models_on_a_volume() -> None:
    [container] = templates("gpu with models")["Service separate"]["spec"]["containers"]
    [settings] = [
        d for d in documents("gpu with models", "ConfigMap") if full_name(d) == "ConfigMap settings"
    ]
    variables = settings["data"] | {v["name"]: v["value"] for v in container["env"]}
    assert variables["ENGINE"] == "torch"
    assert variables["MODELS_DIR"] == "/models"


def test_nats_conf_is_the_same_as_on_one_machine() -> None:
    copy = ROOT / "knative/overlays/local/nats.conf"
    assert copy.read_text() == (ROOT / "minio-events/nats.conf").read_text()


@each_overlay
def test_connections_are_denied_by_default(overlay: str) -> None:
    [nothing] = [
        d for d in documents(overlay, "NetworkPolicy") if full_name(d).endswith(" nothing")
    ]
    assert nothing["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@each_overlay
def test_only_notify_and_the_job_of_models_may_connect_to_the_internet(overlay: str) -> None:
    found = {}
    for policy in documents(overlay, "NetworkPolicy"):
        for rule in policy["spec"].get("egress", []):
            if any(to.get("ipBlock", {}).get("cidr") == "0.0.0.0/0" for to in rule["to"]):
                selector = policy["spec"]["podSelector"]
                found[full_name(policy)] = [
                    name
                    for name, template in templates(overlay).items()
                    if selects(selector, labels(template))
                ]
    expected = {"NetworkPolicy notify-to-webhooks": ["Service notify"]}
    if "fetch-models" in overlay:
        expected["NetworkPolicy models-to-hub"] = ["Job models"]
    assert found == expected


@pytest.mark.parametrize("component", ["fetch-models", "fetch-models-to-volume"])
def test_the_hub_has_a_public_address_as_webhooks_have(component: str) -> None:
    policies = {
        policy["metadata"]["name"]: policy
        for policy in documents(f"production with {component}", "NetworkPolicy")
    }
    [webhooks] = policies["notify-to-webhooks"]["spec"]["egress"]
    [hub] = policies["models-to-hub"]["spec"]["egress"]
    assert hub["to"] == webhooks["to"]
    assert [port["port"] for port in hub["ports"]] == [443]


def test_models_go_into_the_bucket_or_into_a_volume_that_pods_read() -> None:
    [bucket] = templates("production with fetch-models")["Job models"]["spec"]["containers"]
    assert bucket["command"][-2:] == ["--into", "bucket"]
    volume = templates("gpu with fetch-models-to-volume")
    job, separate = volume["Job models"]["spec"], volume["Service separate"]["spec"]
    assert job["containers"][0]["command"][-2:] == ["--into", "folder"]
    assert claims(job) == {"models": False}
    assert claims(separate) == {"models": True}


def claims(pod: Document) -> dict[str, bool]:
    """Return the claims of a pod's volumes, and whether it only reads them."""
    volumes = [volume.get("persistentVolumeClaim") for volume in pod["volumes"]]
    return {one["claimName"]: one.get("readOnly", False) for one in volumes if one}


@each_overlay
def test_every_selector_matches_a_pod_of_the_overlay(overlay: str) -> None:
    pods = [labels(template) for template in templates(overlay).values()]
    for owner, selector in selectors(overlay):
        assert any(selects(selector, pod) for pod in pods), f"{owner}: {selector}"


@each_overlay
def test_a_drain_evicts_one_pod_of_a_component_at_a_time(overlay: str) -> None:
    budgets = documents(overlay, "PodDisruptionBudget")
    components = ["Service separate", "Service upload", "Service notify"]
    components += ["Deployment bridge", "Deployment intake", "Deployment sweep"]
    for component in components:
        pod = labels(templates(overlay)[component])
        [budget] = [b["spec"] for b in budgets if selects(b["spec"]["selector"], pod)]
        assert budget["maxUnavailable"] == 1, component


def is_ours(document: Document) -> bool:
    """Return whether it is not a Kubernetes Service: Knative's Services have the same kind."""
    return document["kind"] != "Service" or "serving.knative.dev" in document["apiVersion"]


def labels(template: Document) -> dict[str, str]:
    """Return the labels of a template's pods."""
    found: dict[str, str] = template["metadata"]["labels"]
    return found


def secrets_in_the_readme() -> dict[str, set[str]]:
    """Return the keys of each Secret that knative/README.md lists, by its name."""
    rows = re.findall(
        r"^\| `([a-z]+)` \| (`.+`) \|", (ROOT / "knative/README.md").read_text(), re.M
    )
    return {name: {*re.findall("`(.+?)`", keys)} for name, keys in rows}
