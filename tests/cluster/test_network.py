"""Which address each component can reach: every component tries every address from its own pod.

The cluster's network must enforce policies; `.ci/policies` makes CI's do so. A pod with the same
labels stands in for a component whose pod has ended or has no Python.
"""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from microdemucs.paths import ROOT
from testing.cluster.kubectl import NAMESPACE, kubectl, read, try_kubectl
from testing.cluster.service import Service

ELSEWHERE = "micro-demucs-elsewhere"
PUBLIC = "192.0.1.1"  # public by its number only; those for documentation count as private
ADDRESSES = {
    "store": f"minio.{NAMESPACE}.svc.cluster.local:9000",
    "bus": f"nats.{NAMESPACE}.svc.cluster.local:4222",
    "gateway": f"separate.{NAMESPACE}.svc.cluster.local:80",  # for clients in the cluster
    "front door": "kourier.kourier-system.svc.cluster.local:80",  # for clients outside the cluster
    "broker": "broker-ingress.knative-eventing.svc.cluster.local:80",
    "receiver": f"receiver.{NAMESPACE}.svc.cluster.local:80",
    "Kubernetes": "kubernetes.default.svc.cluster.local:443",
    "web": f"{PUBLIC}:443",
    "mail": f"{PUBLIC}:25",
}
FUNCTIONS = ("separate", "upload", "notify")
STAND_INS = {
    "provision": {"app": "provision", "bus": "yes"},
    "minio": {"app": "minio"},
    "nats": {"app": "nats"},
    "models": {"app": "models"},  # the Job of the component fetch-models
}

# Components reach a function's pod only through Knative.
REACHABLE: dict[str, set[str]] = {
    "separate": {"store", "bus"},
    "upload": {"store", "bus"},
    "notify": set(ADDRESSES),  # receivers may be anywhere, in this overlay also in the cluster
    "bridge": {"bus", "gateway", "broker"},
    "intake": {"bus"},
    "sweep": {"store", "bus"},
    "provision": {"store", "bus"},
    "minio": {"bus"},
    "nats": set(),
    "models": {"store", "web"},
    "stranger": set(ADDRESSES) - {"bus"},  # pods of other namespaces are not restricted by us
}

_TRY = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def is_reachable(address):
    host, port = address.split(":")
    number = socket.gethostbyname(host)  # DNS is allowed for all
    try:
        socket.create_connection((number, int(port)), 3).close()
    except OSError:
        return False
    return True

addresses = json.loads(sys.argv[1])
with ThreadPoolExecutor() as pool:
    print(json.dumps(dict(zip(addresses, pool.map(is_reachable, addresses.values())))))
"""


@pytest.fixture(scope="module")
def pods_everywhere(service: Service) -> Iterator[Service]:
    """The service, the stand-ins, a pod of another namespace, and a public address that answers."""
    kubectl("create", "namespace", ELSEWHERE)
    try:
        for component, labels in STAND_INS.items():
            start(sleeping_pod(component, labels))
        start(sleeping_pod("stranger", {}), ELSEWHERE)
        start(public_pod(), ELSEWHERE)
        kubectl(
            "wait", "pod/outside", "--for=condition=Ready", "--timeout=60s", namespace=ELSEWHERE
        )
        yield service
    finally:
        try_kubectl("delete", "namespace", ELSEWHERE)
        try_kubectl("delete", "pod", *STAND_INS)


def sleeping_pod(name: str, labels: dict[str, str]) -> dict[str, Any]:
    """Return a pod that does nothing and is never ready, so that no Service sends it anything."""
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


def public_pod() -> dict[str, Any]:
    """Return a pod on the node's network, which answers at the public address."""
    pod = sleeping_pod("outside", {})
    [container] = pod["spec"]["containers"]
    code = (ROOT / "testing/cluster/public_listener.py").read_text()
    container["command"] = ["python", "-c", code, PUBLIC, "443", "25"]
    container["readinessProbe"] = {"tcpSocket": {"host": PUBLIC, "port": 443}}
    container["securityContext"] = {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"]}}
    pod["spec"] |= {"hostNetwork": True, "readinessGates": []}
    return pod


def start(pod: dict[str, Any], namespace: str = NAMESPACE) -> None:
    """Create a pod and wait until it runs."""
    kubectl("create", "-f", "-", stdin=json.dumps(pod), namespace=namespace)
    running = "--for=jsonpath={.status.phase}=Running"
    kubectl("wait", f"pod/{pod['metadata']['name']}", running, "--timeout=60s", namespace=namespace)


def pod_of(service: Service, component: str) -> str:
    """Return the name of a pod of a component, or of its stand-in."""
    if component in FUNCTIONS:
        return service.wake(component)
    if component in STAND_INS or component == "stranger":
        return component
    [pod] = read("pods", "-l", f"app={component}")["items"]
    return str(pod["metadata"]["name"])


def reachable(service: Service, component: str, addresses: dict[str, str]) -> set[str]:
    """Return the names of the addresses that a component can connect to."""
    return reachable_from(pod_of(service, component), component, addresses)


def reachable_from(pod: str, component: str, addresses: dict[str, str]) -> set[str]:
    """Return the names of the addresses that this pod of a component can connect to."""
    namespace = ELSEWHERE if component == "stranger" else NAMESPACE
    command = ["exec", pod, "-c", component, "--", "python", "-c", _TRY]
    output = kubectl(*command, json.dumps(addresses), namespace=namespace)
    return {name for name, is_reachable in json.loads(output).items() if is_reachable}


def settled(read_value: Callable[[], set[str]], expected: set[str]) -> set[str]:
    """Return the value, as soon as it is the expected one: policies need a moment for a new pod."""
    end = time.monotonic() + 15
    while (value := read_value()) != expected and time.monotonic() < end:
        time.sleep(0.5)
    return value


@pytest.mark.parametrize("component", REACHABLE)
def test_a_component_reaches_only_what_it_needs(pods_everywhere: Service, component: str) -> None:
    expected = REACHABLE[component]
    assert settled(lambda: reachable(pods_everywhere, component, ADDRESSES), expected) == expected


@pytest.mark.parametrize("component", REACHABLE)
def test_a_function_is_reached_only_through_knative(
    pods_everywhere: Service, component: str
) -> None:
    other = "separate" if component == "upload" else "upload"
    pod = pods_everywhere.wake(other)
    number = read("pod", pod)["status"]["podIP"]
    ports = {"Knative's proxy": f"{number}:8012", "the function": f"{number}:8080"}
    assert reachable_from(pod, other, ports) == set(ports)  # the pod reaches itself
    assert settled(lambda: reachable(pods_everywhere, component, ports), set()) == set()


def test_with_the_base_policy_notify_reaches_only_the_public_web(pods_everywhere: Service) -> None:
    policies = yaml.safe_load_all((ROOT / "knative/base/network.yaml").read_text())
    [base_policy] = [
        policy for policy in policies if policy["metadata"]["name"] == "notify-to-webhooks"
    ]
    installed = read("networkpolicy", "notify-to-webhooks")
    expected = {"store", "bus", "web"}
    try:
        apply(base_policy)
        assert (
            settled(lambda: reachable(pods_everywhere, "notify", ADDRESSES), expected) == expected
        )
    finally:
        apply(installed)


def apply(policy: dict[str, Any]) -> None:
    """Replace the spec of the installed policy of the same name."""
    name, spec = policy["metadata"]["name"], json.dumps({"spec": policy["spec"]})
    kubectl("patch", "networkpolicy", name, "--type", "merge", "-p", spec)
