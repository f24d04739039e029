"""Somebody pulls a plug, and every song still comes out once."""

import pytest

from testing import installation
from testing.cluster_service import Service, at_once, lasting
from testing.kube import attempt, in_pod, kubectl, pods
from testing.songs import mp3
from testing.waiting import wait_until

_KILL = """
import os, signal
for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
    words = open(f"/proc/{pid}/cmdline", "rb").read()
    if pid != 1 and b"microdemucs.service" in words and pid != os.getpid():
        os.kill(pid, signal.SIGKILL)
"""


def comes_out_once(whole: Service, key: str) -> None:
    manifest = whole.done(key, 240)
    whole.told_of(manifest)
    assert whole.manifest(key) == manifest


def test_kill_9_of_a_separating_process(whole: Service):
    key = whole.put(lasting(150))
    whole.running(key)
    [pod] = pods("separate")
    killed = in_pod(pod, "separate", _KILL)
    assert killed.returncode == 0, killed.stderr
    comes_out_once(whole, key)


def test_deletion_of_a_separating_pod(whole: Service):
    key = whole.put(lasting(151))
    whole.running(key)
    [pod] = pods("separate")
    kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    comes_out_once(whole, key)


def test_a_new_revision_in_the_middle_of_a_song(whole: Service):
    key = whole.put(lasting(152))
    whole.running(key)
    installation.configure()
    other = whole.put(mp3(5.0))
    comes_out_once(whole, key)
    comes_out_once(whole, other)


@pytest.mark.parametrize("gone", ["nats-0", "minio-0", "bridge"])
def test_what_is_deleted_in_the_middle_of_a_burst(whole: Service, gone):
    keys = [f"{gone}/{number}.mp3" for number in range(4)]
    number = ["nats-0", "minio-0", "bridge"].index(gone)
    songs = [mp3(14.0 + number + one / 10) for one in range(4)]
    at_once(*(lambda k=k, s=s: whole.put(s, k) for k, s in zip(keys, songs, strict=True)))
    wait_until(lambda: pods("separate"), 60)
    what = ["-l", "app=bridge"] if gone == "bridge" else [gone]
    attempt("delete", "pod", *what, "--grace-period=0", "--force", "--wait=false")
    for key in keys:
        comes_out_once(whole, key)
