"""Each part is refused what it does not need, tried with its own credentials from its own pod."""

import json

import pytest

from testing.cluster_service import Service
from testing.kube import attempt, in_pod, kubectl
from testing.songs import mp3

_STORE = """
import io, json, os
from microdemucs import store
from microdemucs.settings import StoreSettings
from minio.error import S3Error
client = store.connect(StoreSettings())
def tried(what):
    try:
        what()
    except S3Error as error:
        return error.code
    return "allowed"
print(json.dumps({
    "read song": tried(lambda: client.get_object("songs", "mine.mp3").close()),
    "write song": tried(lambda: client.put_object("songs", "tried.txt", io.BytesIO(b"1"), 1)),
    "remove song": tried(lambda: client.remove_object("songs", "mine.mp3")),
    "read manifest": tried(lambda: client.get_object("stems", "mine.mp3/manifest.json").close()),
    "write stem": tried(lambda: client.put_object("stems", "tried.txt", io.BytesIO(b"1"), 1)),
    "write model": tried(lambda: client.put_object("models", "tried.txt", io.BytesIO(b"1"), 1)),
    "new bucket": tried(lambda: client.make_bucket("tried")),
}))
"""

_BUS = """
import asyncio, json, os, nats
from microdemucs.settings import BusSettings
at = BusSettings()
async def main():
    said = []
    async def error(e): said.append(str(e))
    c = await nats.connect(at.url, user=at.user, password=at.password, error_cb=error,
                           inbox_prefix=b"_INBOX_" + at.user.encode())
    out = {}
    for subject in %r:
        said.clear()
        await c.publish(subject, b"")
        await c.flush()
        for _ in range(100):
            if said: break
            await asyncio.sleep(0.01)
        out[subject] = "denied" if said else "allowed"
    await c.close()
    print(json.dumps(out))
asyncio.run(main())
"""
_SUBJECTS = ["minio.songs", "$JS.API.STREAM.DELETE.SONGS", "$KV.webhooks.x", "deliveries.x"]

MAY = {
    "separate": {"read song", "read manifest", "write stem"},
    "upload": {"write song", "read manifest"},
    "notify": {"read manifest"},
}
MAY_SAY: dict[str, set[str]] = {
    "separate": set(),
    "upload": {"$KV.webhooks.x"},
    "notify": {"$KV.webhooks.x", "deliveries.x"},
}


@pytest.fixture(scope="module")
def mine(service: Service) -> None:
    """A song and its stems, of which all pods are there."""
    service.put(mp3(4.0), "mine.mp3")
    service.done("mine.mp3")


@pytest.mark.parametrize("part", MAY)
def test_the_store_gives_a_part_what_it_needs_and_no_more(service: Service, mine, part):
    said = in_pod(service.awake(part), part, _STORE)
    assert said.returncode == 0, said.stderr
    tried = json.loads(said.stdout)
    allowed = {what for what, answer in tried.items() if answer == "allowed"}
    assert allowed - {"remove song"} == MAY[part], tried
    assert set(tried.values()) <= {"allowed", "AccessDenied"}
    assert tried["remove song"] == "AccessDenied"


@pytest.mark.parametrize("part", MAY_SAY)
def test_the_bus_takes_from_a_part_what_it_has_to_say_and_no_more(service: Service, mine, part):
    said = in_pod(service.awake(part), part, _BUS % _SUBJECTS)
    assert said.returncode == 0, said.stderr
    tried = json.loads(said.stdout)
    assert {what for what, answer in tried.items() if answer == "allowed"} == MAY_SAY[part], tried


@pytest.mark.parametrize("part", MAY)
def test_no_part_has_a_token_or_writes_outside_of_tmp(service: Service, mine, part):
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
    said = in_pod(service.awake(part), part, code)
    assert said.returncode == 0, said.stderr


@pytest.mark.parametrize(
    "bad",
    [
        {"privileged": True, "allowPrivilegeEscalation": True},  # without it, it is no pod at all
        {"runAsUser": 0},
        {"allowPrivilegeEscalation": True},
        {"capabilities": {"add": ["NET_ADMIN"]}},
        {},
    ],
)
def test_the_namespace_refuses_what_is_not_restricted(service: Service, bad):
    good = {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    pod = {
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
    said = attempt("apply", "--dry-run=server", "-f", "-", given=json.dumps(pod))
    assert said.returncode
    assert 'violates PodSecurity "restricted' in said.stderr
    pod["spec"]["containers"][0]["securityContext"] = good
    kubectl("apply", "--dry-run=server", "-f", "-", given=json.dumps(pod))
