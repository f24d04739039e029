"""The running service, as its users reach it: the store's port, the gateway, webhooks."""

import io
import json
import os
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import urllib3
from minio import Minio
from minio.error import MinioException
from standardwebhooks import Webhook

from benchmarks.songs import song
from local.binaries import CACHE
from microdemucs.manifest import failure_key, manifest_key
from microdemucs.problems import RetryLater
from microdemucs.store import read_json
from testing.kube import kubectl, pods
from testing.songs import mp3
from testing.waiting import wait_until

STORE = os.environ.get("CLUSTER_STORE", "127.0.0.1:31900")
GATEWAY = os.environ.get("CLUSTER_GATEWAY", "http://127.0.0.1:31080")
TOKEN = "local-token"
STEMS = ["drums", "bass", "other", "vocals"]


class _Anew(urllib3.PoolManager):
    """A connection for each request: one to a pod that was killed leads nowhere, or elsewhere."""

    def urlopen(self, method: str, url: str, redirect: bool = True, **more: Any) -> Any:
        """As the pool's."""
        more["headers"] = {**(more.get("headers") or {}), "Connection": "close"}
        return super().urlopen(method, url, redirect, **more)


class Service:
    """What a test does with it, and what the receiver in the cluster got."""

    def __init__(self) -> None:
        anew = _Anew(timeout=10, retries=urllib3.Retry(2, backoff_factor=0.2))
        self.store = Minio(
            *(STORE, "root", "local-root"), secure=False, region="us-east-1", http_client=anew
        )
        self.http = urllib3.PoolManager(retries=urllib3.Retry(5, backoff_factor=0.5))
        self._since = 0
        made = self.api("POST", "/apiv1/webhooks", {"url": "http://receiver.micro-demucs.svc/"})
        self.secret: str = made["secret"]

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """What the REST API answers, through the gateway. Fails where that is no success."""
        answer = self.http.request(
            method,
            f"{GATEWAY}{path}",
            headers={
                "Host": "upload.micro-demucs.localhost",
                "Authorization": f"Bearer {TOKEN}",
                "Content-Type": "application/json",
            },
            body=None if body is None else json.dumps(body),
            timeout=60,
        )
        assert answer.status < 300, (answer.status, answer.data)
        return json.loads(answer.data) if answer.data else None

    def awake(self, function: str) -> str:
        """The name of one of its pods, which is woken where there is none."""
        if function == "upload":
            self.api("GET", "/apiv1/jobs")
        elif not pods(function):
            self.put(mp3(3.0))
        return wait_until(lambda: pods(function), 90, f"a pod of {function}")[0]

    def put(self, body: bytes, key: str = "", **options: str) -> str:
        """Drop a song; its key."""
        key = key or f"{uuid.uuid4().hex[:8]}.mp3"

        def accepted() -> bool:  # a client goes on asking while the way to a new store is made
            with suppress(MinioException, urllib3.exceptions.HTTPError):
                data = io.BytesIO(body)
                self.store.put_object("songs", key, data, len(body), metadata=dict(options))
                return True
            return False

        wait_until(accepted, 60, f"the store takes {key}")
        return key

    def manifest(self, key: str) -> dict[str, Any] | None:
        """What lies beside the song, if it is done. Raises AssertionError where it failed."""
        try:
            failure = read_json(self.store, "stems", failure_key(key))
            assert not failure, failure
            return read_json(self.store, "stems", manifest_key(key))
        except RetryLater:  # the store is away, as some tests want it
            return None

    def done(self, key: str, seconds: float = 120) -> dict[str, Any]:
        """The manifest, waited for; its stems are there."""
        manifest = wait_until(lambda: self.manifest(key), seconds, f"{key} is done")
        assert [stem["name"] for stem in manifest["stems"]] == STEMS
        for stem in manifest["stems"]:
            assert self.store.stat_object("stems", stem["key"]).size == stem["size"]
        return manifest

    def job(self, key: str) -> dict[str, Any]:
        """The newest job of this song, or {}."""
        jobs = self.api("GET", "/apiv1/jobs")["jobs"]
        return next((one for one in jobs if one["key"] == key), {})

    def running(self, key: str, share: float = 0.05) -> dict[str, Any]:
        """Its job, once it is in the middle of it."""
        return wait_until(
            lambda: (
                (job := self.job(key)).get("state") == "running" and job["progress"] > share and job
            ),
            60,
            f"{key} is being separated",
        )

    def forget(self) -> None:
        """What the receiver got so far."""
        self._since = len(self._lines())

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The webhooks of a type, since `forget`, each once; every signature is verified."""
        events = {}
        for line in self._lines()[self._since :]:
            got = json.loads(line)
            event = Webhook(self.secret).verify(got["body"], got["headers"])
            if event["type"] == f"dev.microdemucs.separation.{kind}":
                events[got["headers"]["webhook-id"]] = event
        return list(events.values())

    def told_of(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """The one webhook that says that this job is done."""

        def look() -> list[dict[str, Any]]:
            return [one for one in self.told("completed") if one["data"]["job"] == manifest["job"]]

        wait_until(look, 90, "a webhook says so")
        [event] = look()
        return event

    def _lines(self) -> list[str]:
        return kubectl("logs", "deployment/receiver").splitlines()


def lasting(seconds: int) -> bytes:
    """A song of so many seconds as MP3; songs of other lengths have other audio."""
    return song(seconds, CACHE / "benchmark/songs").read_bytes()


def at_once(*work: Callable[[], object]) -> None:
    """Do all of it side by side. Raises what one of them raised."""
    with ThreadPoolExecutor(len(work)) as threads:
        for done in [threads.submit(one) for one in work]:
            done.result()
