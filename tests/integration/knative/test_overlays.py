"""Each overlay as a cluster would get it: what Kubernetes and Knative refuse, and what they do not.

The schemas are the kinds' own, of the versions that make_schemas.py names.
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
    called,
    containers,
    documents,
    rendered,
    templates,
)

SCHEMAS = Path(__file__).with_name("schemas") / "{{.ResourceKind}}{{.KindSuffix}}.json"
OVERLAYS = (
    *("local", "production", "eventing", "gpu"),
    *("local with models", "production with models", "gpu with models"),
)
POD = "spec template spec"
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def refusals(text: str) -> list[str]:
    """What kubeconform has against these documents."""
    command = [str(KUBECONFORM.binary), "-strict", "-output", "json", "-summary"]
    command += ["-schema-location", str(SCHEMAS)]
    said = subprocess.run(command, input=text, capture_output=True, text=True).stdout
    result = json.loads(said)
    assert result["summary"]["skipped"] == 0
    return [f"{one['kind']} {one['name']}: {one['msg']}" for one in result["resources"]]


@each_overlay
def test_every_document_is_as_its_kind_demands_and_has_no_field_that_is_not_known(overlay):
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
        ("production", "Service separate", f"{POD} topologySpreadConstraints 0", {"skew": 1}),
        ("production", "PodDisruptionBudget upload", "spec", {"maxUnvailable": 1}),
        ("gpu", "Service separate", f"{POD} tolerations 0", {"efect": "x"}),
        ("eventing", "Broker results", "spec delivery", {"retries": 10}),
        ("eventing", "Trigger example", "spec", {"filtres": []}),
        ("eventing", "SinkBinding results", "spec subject", {"names": "x"}),
    ],
)
def test_one_wrong_field_anywhere_is_refused(overlay, kind, path, mistake):
    [document] = [d for d in documents(overlay) if called(d) == kind and is_ours(d)]
    place: Any = document
    for step in path.split():
        place = place[int(step) if step.isdigit() else step]
    place |= mistake
    [refusal] = refusals(yaml.safe_dump(document))
    assert refusal.startswith(f"{kind}: ")


def test_a_field_given_twice_is_refused():
    twice = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {}\ndata: {a: b}\n"
    assert "already set" in str(refusals(twice))


@each_overlay
def test_every_container_satisfies_the_restricted_pod_security_standard(overlay):
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
def test_no_container_can_write_to_its_image(overlay):
    for owner, template in templates(overlay).items():
        for container in containers(template):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, owner


@each_overlay
def test_every_container_says_what_it_needs_and_what_it_may_take(overlay):
    for owner, template in templates(overlay).items():
        for container in containers(template):
            requests, limits = container["resources"]["requests"], container["resources"]["limits"]
            shared = {"memory"} if "nvidia.com/gpu" in limits else {"memory", "cpu"}
            assert shared <= requests.keys() & limits.keys(), owner


@each_overlay
def test_no_pod_gets_a_token_of_the_api_server(overlay):
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
def test_functions_tell_whether_they_are_alive_and_ready(overlay):
    for owner in ("separate", "upload", "notify"):
        [container] = templates(overlay)[f"Service {owner}"]["spec"]["containers"]
        assert {"livenessProbe", "readinessProbe"} <= container.keys(), owner


@each_overlay
def test_what_a_document_refers_to_is_in_the_overlay_or_made_by_the_deployer(overlay):
    there = {called(one) for one in documents(overlay)}
    there |= {f"Secret {name}" for name in secrets_of_the_deployer()}
    missing = [f"{who} -> {what}" for who, what in references(overlay) if what not in there]
    assert missing == []


def test_only_overlays_for_trying_out_bring_secrets():
    assert {o for o in OVERLAYS if documents(o, "Secret")} == {
        *("local", "eventing", "local with models")
    }


def test_the_deployers_secrets_have_the_names_and_keys_of_the_local_ones():
    local = {d["metadata"]["name"]: {*d["data"]} for d in documents("local", "Secret")}
    for name, keys in secrets_of_the_deployer().items():
        assert local[name] == keys, name


@each_overlay
def test_every_image_is_one_that_make_images_builds(overlay):
    built = {images.name_of(one) for one in (*images.TARGETS, *images.MORE_TARGETS)}
    used = {c["image"] for t in templates(overlay).values() for c in containers(t)}
    assert used <= built


@each_overlay
def test_there_may_be_as_many_pods_as_songs_are_sent_at_once(overlay):
    [settings] = [d for d in documents(overlay, "ConfigMap") if called(d) == "ConfigMap settings"]
    annotations = templates(overlay)["Service separate"]["metadata"]["annotations"]
    songs_at_once = settings["data"]["SEPARATE_CONCURRENCY"]
    assert annotations["autoscaling.knative.dev/max-scale"] == songs_at_once


def test_a_gpu_and_models_on_a_volume_go_together():
    [container] = templates("gpu with models")["Service separate"]["spec"]["containers"]
    [settings] = [
        d for d in documents("gpu with models", "ConfigMap") if called(d) == "ConfigMap settings"
    ]
    variables = settings["data"] | {v["name"]: v["value"] for v in container["env"]}
    assert variables["ENGINE"] == "torch"
    assert variables["MODELS_DIR"] == "/models"


def test_the_bus_has_the_configuration_that_it_has_on_one_machine():
    copy = ROOT / "knative/overlays/local/nats.conf"
    assert copy.read_text() == (ROOT / "minio-events/nats.conf").read_text()


@each_overlay
def test_whoever_is_not_named_is_reached_by_nobody_and_reaches_nobody(overlay):
    [nothing] = [d for d in documents(overlay, "NetworkPolicy") if called(d).endswith(" nothing")]
    assert nothing["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@each_overlay
def test_notify_alone_has_a_way_out_of_the_cluster(overlay):
    out = [
        policy
        for policy in documents(overlay, "NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        for to in rule["to"]
        if to.get("ipBlock", {}).get("cidr") == "0.0.0.0/0"
    ]
    assert [called(policy) for policy in out] == ["NetworkPolicy notify-to-webhooks"]
    selector = out[0]["spec"]["podSelector"]
    reached = [o for o, t in templates(overlay).items() if selects(selector, labels(t))]
    assert reached == ["Service notify"]


@each_overlay
def test_every_selector_finds_a_pod_of_the_overlay(overlay):
    everyone = [labels(template) for template in templates(overlay).values()]
    for owner, selector in selectors(overlay):
        assert any(selects(selector, one) for one in everyone), f"{owner}: {selector}"


@each_overlay
def test_a_drained_node_takes_one_pod_of_a_part_at_a_time_and_is_never_held_up(overlay):
    budgets = documents(overlay, "PodDisruptionBudget")
    parts = ["Service separate", "Service upload", "Service notify"]
    parts += ["Deployment bridge", "Deployment intake", "Deployment sweep"]
    for part in parts:
        over = labels(templates(overlay)[part])
        [budget] = [b["spec"] for b in budgets if selects(b["spec"]["selector"], over)]
        assert budget["maxUnavailable"] == 1, part


def is_ours(document: Document) -> bool:
    """Not Kubernetes' own Service, of whose name there is a function."""
    return document["kind"] != "Service" or document["apiVersion"].startswith("serving.")


def labels(template: Document) -> dict[str, str]:
    """What selectors look at."""
    return template["metadata"]["labels"]


def secrets_of_the_deployer() -> dict[str, set[str]]:
    """The keys of each Secret that knative/README.md's table lists, by its name."""
    rows = re.findall(
        r"^\| `([a-z]+)` \| (`.+`) \|", (ROOT / "knative/README.md").read_text(), re.M
    )
    return {name: {*re.findall("`(.+?)`", keys)} for name, keys in rows}
