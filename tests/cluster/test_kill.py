"""Whatever is killed, every song is still separated once."""

import pytest

from testing.cluster import installation
from testing.cluster.kubectl import kubectl, pods, run_in_pod, try_kubectl
from testing.cluster.service import Service, in_parallel, long_song
from testing.songs import mp3
from testing.waiting import wait_until

_KILL_SERVER = """
import os, signal
for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
    words = open(f"/proc/{pid}/cmdline", "rb").read()
    if pid != 1 and b"microdemucs.service" in words and pid != os.getpid():
        os.kill(pid, signal.SIGKILL)
"""


def assert_separated_once(idle_service: Service, key: str) -> None:
    manifest = idle_service.wait_for_manifest(key, 240)
    idle_service.wait_for_webhook(manifest)
    assert idle_service.manifest(key) == manifest


def test_a_separating_process_is_killed(idle_service: Service) -> None:
    key = idle_service.put_song(long_song(150))
    idle_service.wait_until_running(key)
    [pod] = pods("separate")
    killed = run_in_pod(pod, "separate", _KILL_SERVER)
    assert killed.returncode == 0, killed.stderr
    assert_separated_once(idle_service, key)


def test_a_separating_pod_is_deleted(idle_service: Service) -> None:
    key = idle_service.put_song(long_song(151))
    idle_service.wait_until_running(key)
    [pod] = pods("separate")
    kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    assert_separated_once(idle_service, key)


def test_a_new_revision_replaces_a_separating_one(idle_service: Service) -> None:
    key = idle_service.put_song(long_song(152))
    idle_service.wait_until_running(key)
    installation.configure()
    other = idle_service.put_song(mp3(5.0))
    assert_separated_once(idle_service, key)
    assert_separated_once(idle_service, other)


@pytest.mark.parametrize("deleted", ["nats-0", "minio-0", "bridge"])
def test_a_pod_is_deleted_in_a_burst(idle_service: Service, deleted: str) -> None:
    keys = [f"{deleted}/{number}.mp3" for number in range(4)]
    number = ["nats-0", "minio-0", "bridge"].index(deleted)
    songs = [mp3(14.0 + number + tenth / 10) for tenth in range(4)]
    in_parallel(
        *(lambda k=k, s=s: idle_service.put_song(s, k) for k, s in zip(keys, songs, strict=True))
    )
    wait_until(lambda: pods("separate"), 60)
    selector = ["-l", "app=bridge"] if deleted == "bridge" else [deleted]
    try_kubectl("delete", "pod", *selector, "--grace-period=0", "--force", "--wait=false")
    for key in keys:
        assert_separated_once(idle_service, key)
