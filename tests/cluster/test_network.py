"""Who reaches whom: every part tries every address from its own pod.

The cluster's network has to enforce policies; `.ci/policies` makes that of CI do so. For a part
whose pod has ended, or holds no Python, tries one with the same labels.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from microdemucs.paths import ROOT
from testing.cluster_service import Service
from testing.kube import NAMESPACE, attempt, kubectl, read

ELSEWHERE = "micro-demucs-elsewhere"
PUBLIC = "203.0.113.1"  # of a network for documentation: in truth it is nobody's (RFC 5737)
ADDRESSES = {
    "store": f"minio.{NAMESPACE}.svc.cluster.local:9000",
    "bus": f"nats.{NAMESPACE}.svc.cluster.local:4222",
    "gateway": f"separate.{NAMESPACE}.svc.cluster.local:80",  # where it answers inside the cluster
    "front door": "kourier.kourier-system.svc.cluster.local:80",  # where it answers the world
    "broker": "broker-ingress.knative-eventing.svc.cluster.local:80",
    "receiver": f"receiver.{NAMESPACE}.svc.cluster.local:80",
    "Kubernetes": "kubernetes.default.svc.cluster.local:443",
    "web": f"{PUBLIC}:443",
    "mail": f"{PUBLIC}:25",
}
FUNCTIONS = ("separate", "upload", "notify")
STOOD_IN_FOR = {
    "provision": {"app": "provision", "bus": "yes"},
    "minio": {"app": "minio"},
    "nats": {"app": "nats"},
}

# No part reaches a function's pod but by way of Knative.
REACHED: dict[str, set[str]] = {
    "separate": {"store", "bus"},
    "upload": {"store", "bus"},
    "notify": set(ADDRESSES),  # receivers are anywhere, in this overlay also in the cluster
    "bridge": {"bus", "gateway", "broker"},
    "intake": {"bus"},
    "sweep": {"store", "bus"},
    "provision": {"store", "bus"},
    "minio": {"bus"},
    "nats": set(),
    "stranger": set(ADDRESSES) - {"bus"},  # what others may do in other namespaces is not ours
}

_TRY = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def reached(address):
    host, port = address.split(":")
    number = socket.gethostbyname(host)  # everybody may ask for names
    try:
        socket.create_connection((number, int(port)), 3).close()
    except OSError:
        return False
    return True

addresses = json.loads(sys.argv[1])
with ThreadPoolExecutor() as pool:
    print(json.dumps(dict(zip(addresses, pool.map(reached, addresses.values())))))
"""


@pytest.fixture(scope="module")
def everybody(service: Service) -> Iterator[Service]:
    """The service, who stands in for its parts, a stranger, and a public address that answers."""
    kubectl("create", "namespace", ELSEWHERE)
    try:
        for part, labels in STOOD_IN_FOR.items():
            start(sleeper(part, labels))
        start(sleeper("stranger", {}), ELSEWHERE)
        start(listener(), ELSEWHERE)
        kubectl("wait", "pod/outside", "--for=condition=Ready", "--timeout=60s", within=ELSEWHERE)
        yield service
    finally:
        attempt("delete", "namespace", ELSEWHERE)
        attempt("delete", "pod", *STOOD_IN_FOR)


def sleeper(name: str, labels: dict[str, str]) -> dict[str, Any]:
    """A pod that does nothing, and that no Service sends anything to."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 5,
            "readinessGates": [{"conditionType": "micro-demucs.test/never"}],
            "containers": [
                {
                    "name": name,
                    "image": "dev.local/micro-demucs-minio-events:1",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-c", "import time; time.sleep(3600)"],
                    "securityContext": {
                        "runAsNonRoot": True,
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                }
            ],
        },
    }


def listener() -> dict[str, Any]:
    """A pod on the node's own network, which answers at the public address."""
    made = sleeper("outside", {})
    [container] = made["spec"]["containers"]
    code = Path(__file__).with_name("outside.py").read_text()
    container["command"] = ["python", "-c", code, PUBLIC, "443", "25"]
    container["readinessProbe"] = {"tcpSocket": {"host": PUBLIC, "port": 443}}
    container["securityContext"] = {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"]}}
    made["spec"] |= {"hostNetwork": True, "readinessGates": []}
    return made


def start(made: dict[str, Any], within: str = NAMESPACE) -> None:
    """Create a pod, and wait until it runs."""
    kubectl("create", "-f", "-", given=json.dumps(made), within=within)
    running = "--for=jsonpath={.status.phase}=Running"
    kubectl("wait", f"pod/{made['metadata']['name']}", running, "--timeout=60s", within=within)


def pod_of(service: Service, part: str) -> str:
    """The name of a pod in which a part is, or its labels are."""
    if part in FUNCTIONS:
        return service.awake(part)
    if part in STOOD_IN_FOR or part == "stranger":
        return part
    [found] = read("pods", "-l", f"app={part}")["items"]
    return str(found["metadata"]["name"])


def reached(service: Service, part: str, addresses: dict[str, str]) -> set[str]:
    """Whom a part reaches."""
    within = ELSEWHERE if part == "stranger" else NAMESPACE
    command = ["exec", pod_of(service, part), "-c", part, "--", "python", "-c", _TRY]
    said = kubectl(*command, json.dumps(addresses), within=within)
    return {name for name, answered in json.loads(said).items() if answered}


def settled(look: Callable[[], set[str]], wanted: set[str]) -> set[str]:
    """What it sees, as soon as that is what is wanted: policies find a new pod after a moment."""
    end = time.monotonic() + 15
    while (seen := look()) != wanted and time.monotonic() < end:
        time.sleep(0.5)
    return seen


@pytest.mark.parametrize("part", REACHED)
def test_a_part_reaches_those_whom_it_needs_and_nobody_else(everybody: Service, part):
    seen = settled(lambda: reached(everybody, part, ADDRESSES), REACHED[part])
    assert seen == REACHED[part]


@pytest.mark.parametrize("part", REACHED)
def test_a_function_is_reached_by_way_of_knative_alone(everybody: Service, part):
    other = "separate" if part == "upload" else "upload"
    number = read("pod", everybody.awake(other))["status"]["podIP"]
    ports = {"Knative's proxy": f"{number}:8012", "the function": f"{number}:8080"}
    assert reached(everybody, other, ports) == set(ports)  # they are there: it reaches itself
    assert settled(lambda: reached(everybody, part, ports), set()) == set()


def test_where_no_overlay_says_otherwise_notify_reaches_the_public_web_alone(everybody: Service):
    base = yaml.safe_load_all((ROOT / "knative/base/network.yaml").read_text())
    [ours] = [policy for policy in base if policy["metadata"]["name"] == "notify-to-webhooks"]
    theirs = read("networkpolicy", "notify-to-webhooks")
    wanted = {"store", "bus", "web"}
    try:
        apply(ours)
        assert settled(lambda: reached(everybody, "notify", ADDRESSES), wanted) == wanted
    finally:
        apply(theirs)


def apply(policy: dict[str, Any]) -> None:
    """Have the policy of this name say this."""
    name, spec = policy["metadata"]["name"], json.dumps({"spec": policy["spec"]})
    kubectl("patch", "networkpolicy", name, "--type", "merge", "-p", spec)
