"""Each component has only the rights it needs: tried from its own pod, with its credentials."""

import json
from typing import Any

import pytest

from testing.cluster.kubectl import kubectl, run_in_pod, try_kubectl
from testing.cluster.service import Service
from testing.songs import mp3
from testing.waiting import wait_until

_STORE = """
import io, json, os
from microdemucs import store
from microdemucs.settings import StoreSettings
from minio.commonconfig import CopySource
from minio.error import S3Error
client = store.connect(StoreSettings())
def tried(action):
    try:
        action()
    except S3Error as error:
        return error.code
    return "allowed"
print(json.dumps({
    "read song": tried(lambda: client.get_object("songs", "mine.mp3").close()),
    "write song": tried(lambda: client.put_object("songs", "form/tried.txt", io.BytesIO(b"1"), 1)),
    "remove song": tried(lambda: client.remove_object("songs", "form/tried.txt")),
    "read manifest": tried(lambda: client.get_object("stems", "mine.mp3/manifest.json").close()),
    "write stem": tried(lambda: client.put_object("stems", "tried.txt", io.BytesIO(b"1"), 1)),
    "read model": tried(lambda: client.get_object("models", "usable-models.json").close()),
    "publish models": tried(
        lambda: client.copy_object("models", "usable-models.json",
                                   CopySource("models", "usable-models.json"),
                                   metadata_directive="REPLACE")),
    "write model": tried(lambda: client.put_object("models", "tried.txt", io.BytesIO(b"1"), 1)),
    "new bucket": tried(lambda: client.make_bucket("tried")),
}))
"""

_BUS = """
import asyncio, json, os, nats
from microdemucs.settings import BusSettings
at = BusSettings()
async def main():
    errors = []
    async def error(e): errors.append(str(e))
    c = await nats.connect(at.url, user=at.user, password=at.password, error_cb=error,
                           inbox_prefix=b"_INBOX_" + at.user.encode())
    answers = {}
    for subject in %r:
        errors.clear()
        await c.publish(subject, b"")
        await c.flush()
        for _ in range(100):
            if errors: break
            await asyncio.sleep(0.01)
        answers[subject] = "denied" if errors else "allowed"
    await c.close()
    print(json.dumps(answers))
asyncio.run(main())
"""
_SUBJECTS = ["minio.songs", "$JS.API.STREAM.DELETE.SONGS", "$KV.webhooks.x", "deliveries.new.r.x"]

MAY = {
    "separate": {"read song", "read manifest", "write stem", "read model", "publish models"},
    "upload": {"write song", "remove song", "read manifest", "read model"},
    "notify": {"read manifest"},
}
MAY_PUBLISH: dict[str, set[str]] = {
    "separate": set(),
    "upload": {"$KV.webhooks.x"},
    "notify": {"$KV.webhooks.x", "deliveries.new.r.x"},
}


@pytest.fixture(scope="module")
def separated_song(service: Service) -> None:
    """Put a song, and wait for its stems and for the models that its pod publishes."""
    service.put_song(mp3(4.0), "mine.mp3")
    service.wait_for_manifest("mine.mp3")
    wait_until(lambda: service.api("GET", "/apiv1/models")["complete"], 60, "models are published")


@pytest.mark.parametrize("component", MAY)
def test_a_component_has_only_the_rights_it_needs_in_the_store(
    service: Service, separated_song: None, component: str
) -> None:
    done = run_in_pod(service.wake(component), component, _STORE)
    assert done.returncode == 0, done.stderr
    tried = json.loads(done.stdout)
    allowed = {action for action, answer in tried.items() if answer == "allowed"}
    assert allowed == MAY[component], tried
    assert set(tried.values()) <= {"allowed", "AccessDenied"}


@pytest.mark.parametrize("component", MAY_PUBLISH)
def test_a_component_can_publish_only_what_it_needs(
    service: Service, separated_song: None, component: str
) -> None:
    done = run_in_pod(service.wake(component), component, _BUS % _SUBJECTS)
    assert done.returncode == 0, done.stderr
    tried = json.loads(done.stdout)
    assert {action for action, answer in tried.items() if answer == "allowed"} == MAY_PUBLISH[
        component
    ], tried


@pytest.mark.parametrize("component", MAY)
def test_a_component_has_no_token_and_writes_only_to_tmp(
    service: Service, separated_song: None, component: str
) -> None:
    code = """
import os
assert not os.path.exists("/var/run/secrets/kubernetes.io"), "a token is here"
assert os.getuid() == 65532
for path in ("/app/x", "/etc/x", "/opt/venv/x"):
    try:
        open(path, "w")
    except OSError as error:
        assert error.errno == 30, error  # read-only file system
    else:
        raise SystemExit(f"{path} can be written")
open("/tmp/x", "w").close()
"""
    done = run_in_pod(service.wake(component), component, code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "bad",
    [
        {"privileged": True, "allowPrivilegeEscalation": True},  # otherwise it is not a valid pod
        {"runAsUser": 0},
        {"allowPrivilegeEscalation": True},
        {"capabilities": {"add": ["NET_ADMIN"]}},
        {},
    ],
)
def test_the_namespace_refuses_pods_that_are_not_restricted(
    service: Service, bad: dict[str, Any]
) -> None:
    good = {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "tried"},
        "spec": {
            "containers": [
                {
                    "name": "x",
                    "image": "dev.local/x:1",
                    "securityContext": good | bad if bad else {},
                }
            ]
        },
    }
    done = try_kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
    assert done.returncode
    assert 'violates PodSecurity "restricted' in done.stderr
    pod["spec"]["containers"][0]["securityContext"] = good
    kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
