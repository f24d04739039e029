"""The service on the cluster as its users reach it: the store's port, the gateway, webhooks."""

import json
import math
import os
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import urllib3
from minio import Minio
from minio.error import MinioException
from standardwebhooks import Webhook

from local.binaries import CACHE
from microdemucs.manifest import failure_key, manifest_key
from microdemucs.problems import RetryLater
from testing import long_songs
from testing.cluster.kubectl import kubectl, pods
from testing.objects import put_song, read_json
from testing.songs import mp3
from testing.waiting import wait_until

STORE = os.environ.get("CLUSTER_STORE", "127.0.0.1:31900")
GATEWAY = os.environ.get("CLUSTER_GATEWAY", "http://127.0.0.1:31080")
TOKEN = "local-token"
STEMS = ["drums", "bass", "other", "vocals"]


class _NewConnections(urllib3.PoolManager):
    """Opens a connection for each request, as a kept one may lead to a pod that was killed."""

    def urlopen(self, method: str, url: str, redirect: bool = True, **options: Any) -> Any:  # type: ignore[override]
        """Send the request with `Connection: close`."""
        options["headers"] = {**(options.get("headers") or {}), "Connection": "close"}
        return super().urlopen(method, url, redirect, **options)


class Service:
    """Clients of the service, and the webhooks that the receiver in the cluster got."""

    def __init__(self) -> None:
        connections = _NewConnections(timeout=10, retries=urllib3.Retry(2, backoff_factor=0.2))
        self.store = Minio(
            *(STORE, "root", "local-root"),
            secure=False,
            region="us-east-1",
            http_client=connections,
        )
        self.http = urllib3.PoolManager(retries=urllib3.Retry(5, backoff_factor=0.5))
        self._ignored_lines = 0
        url = "http://receiver.micro-demucs.svc/"
        self.secret: str = self.api("POST", "/apiv1/webhooks", {"url": url})["secret"]

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON response of the REST API, or None if it is empty.

        Raises AssertionError if the status is no success.
        """
        response = self.http.request(
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
        assert response.status < 300, (response.status, response.data)
        return json.loads(response.data) if response.data else None

    def wake(self, function: str) -> str:
        """Return the name of a pod of `function`; start one if there is none."""
        requested = -math.inf

        def running() -> list[str]:
            nonlocal requested
            found = pods(function)
            if not found and time.monotonic() - requested > 20:  # the last one may just have ended
                requested = time.monotonic()
                if function == "upload":
                    self.api("GET", "/apiv1/jobs")
                else:
                    self.put_song(mp3(3.0))
            return found

        return wait_until(running, 90, f"a pod of {function}")[0]

    def put_song(self, body: bytes, key: str = "", **options: str) -> str:
        """Put a song, at a new key by default; return its key."""
        key = key or f"{uuid.uuid4().hex[:8]}.mp3"

        def is_put() -> bool:  # retries, as the network needs a moment to find a new store
            with suppress(MinioException, urllib3.exceptions.HTTPError):
                put_song(self.store, key, body, metadata=options)
                return True
            return False

        wait_until(is_put, 60, f"the store accepts {key}")
        return key

    def manifest(self, key: str) -> dict[str, Any] | None:
        """Return the manifest of a song, if there is one. Raises AssertionError if it failed."""
        try:
            failure = read_json(self.store, "stems", failure_key(key))
            assert not failure, failure
            return read_json(self.store, "stems", manifest_key(key))
        except RetryLater:  # some tests stop the store
            return None

    def wait_for_manifest(self, key: str, seconds: float = 120) -> dict[str, Any]:
        """Return the manifest of a song, after checking that its stems are in the store."""
        manifest = wait_until(lambda: self.manifest(key), seconds, f"{key} has a manifest")
        assert [stem["name"] for stem in manifest["stems"]] == STEMS
        for stem in manifest["stems"]:
            assert self.store.stat_object("stems", stem["key"]).size == stem["size"]
        return manifest

    def job(self, key: str) -> dict[str, Any]:
        """Return the newest job of a song, or {} if it has none."""
        jobs: list[dict[str, Any]] = self.api("GET", "/apiv1/jobs")["jobs"]
        return next((job for job in jobs if job["key"] == key), {})

    def wait_until_running(self, key: str, progress: float = 0.05) -> dict[str, Any]:
        """Return the job of a song once it runs and `progress` of it is done."""

        def running_job() -> dict[str, Any] | None:
            job = self.job(key)
            return job if job.get("state") == "running" and job["progress"] > progress else None

        return wait_until(running_job, 60, f"{key} is being separated")

    def forget_webhooks(self) -> None:
        """Ignore the webhooks that the receiver got until now."""
        self._ignored_lines = len(self._receiver_log())

    def webhooks(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of a kind ("completed", …), each once, after verifying signatures."""
        events = {}
        for line in self._receiver_log()[self._ignored_lines :]:
            request = json.loads(line)
            event = Webhook(self.secret).verify(request["body"], request["headers"])
            if event["type"] == f"dev.microdemucs.separation.{kind}":
                events[request["headers"]["webhook-id"]] = event
        return list(events.values())

    def wait_for_webhook(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Return the one completed event of the manifest's job."""

        def completed() -> list[dict[str, Any]]:
            events = self.webhooks("completed")
            return [event for event in events if event["data"]["job"] == manifest["job"]]

        wait_until(completed, 90, f"a webhook about job {manifest['job']}")
        [event] = completed()
        return event

    def _receiver_log(self) -> list[str]:
        return kubectl("logs", "deployment/receiver").splitlines()


def long_song(seconds: int) -> bytes:
    """Return an MP3 of `seconds`; songs of different lengths have different audio."""
    return long_songs.long_song(seconds, CACHE / "benchmark/songs").read_bytes()


def in_parallel(*actions: Callable[[], object]) -> None:
    """Run all actions in threads. Raises what one of them raised."""
    with ThreadPoolExecutor(len(actions)) as threads:
        for future in [threads.submit(action) for action in actions]:
            future.result()
