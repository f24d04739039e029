"""A whole machine for a test: the Procfile's own lines, each a process group that can be killed."""

import asyncio
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import nats
from honcho.environ import parse_procfile
from minio import Minio

from local.binaries import ROOT
from local.environment import PORTS, Local, local
from local.stack import provision
from microdemucs import store
from microdemucs.manifest import failure_key, manifest_key
from microdemucs.problems import RetryLater
from microdemucs.settings import StoreSettings

_T = TypeVar("_T")
READY = {"upload": "UPLOAD_PORT", "notify": "NOTIFY_PORT", "separate": "SEPARATE_PORT"}
WHOLE = ("nats", "minio", "bridge", "intake", "separate", "upload", "notify")


def wait_until(look: Callable[[], _T], seconds: float = 60, what: str = "") -> _T:
    """What `look` returns, as soon as it is true; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {what or look}"
        time.sleep(0.02)


class Machine:
    """Processes of one stack, what they logged, and the store as its root sees it."""

    def __init__(self, here: Local) -> None:
        self.here = here
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.lines: list[dict[str, Any]] = []
        self.store: Minio = _client(here)
        self._commands = parse_procfile((ROOT / "Procfile").read_text()).processes

    def start(self, *parts: str, **settings: str) -> None:
        """Start these lines of the Procfile; `settings` are further variables."""
        for part in parts:
            log = (self.here.state / f"{part}.log").open("ab")
            process = subprocess.Popen(
                self._commands[part],
                shell=True,
                cwd=ROOT,
                env=os.environ | self.here.variables | settings,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
            self.processes[part] = process
            threading.Thread(target=self._read, args=(process,), daemon=True).start()

    def ready(self, *parts: str) -> None:
        """Wait until these functions answer that they are ready."""
        for part in parts:
            url = f"http://127.0.0.1:{self.here.variables[READY[part]]}/readyz"
            wait_until(lambda url=url: _answers(url), 90, f"{part} is ready")

    def stored(self) -> None:
        """Wait until the store answers."""

        def answers() -> bool:
            try:
                with store.map_store_errors():
                    return self.store.bucket_exists("stems")
            except RetryLater:
                return False

        wait_until(answers, 60, "the store answers")

    def kill(self, part: str) -> None:
        """kill -9 for every process of `part`."""
        process = self.processes.pop(part)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self, part: str, seconds: float = 20) -> None:
        """SIGTERM, and wait; what does not end is killed, and the test fails."""
        process = self.processes.pop(part)
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise

    def end(self) -> None:
        """Nothing of this machine runs afterwards."""
        for process in self.processes.values():
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(process.pid, signal.SIGKILL)
        for process in self.processes.values():
            process.wait()

    def said(self, event: str, **members: Any) -> list[dict[str, Any]]:
        """The log lines so far with this event and these members."""
        wanted = {"event": event} | members
        return [line for line in list(self.lines) if wanted.items() <= line.items()]

    def manifest(self, key: str) -> dict[str, Any] | None:
        """The manifest beside the song `key`, if it is there."""
        return store.read_json(self.store, "stems", manifest_key(key))

    def failure(self, key: str) -> dict[str, Any] | None:
        """The failure beside the song `key`, if it is there."""
        return store.read_json(self.store, "stems", failure_key(key))

    def done(self, key: str, seconds: float = 90) -> dict[str, Any]:
        """The manifest of the song `key`, waited for; a failure fails the test."""

        def look() -> dict[str, Any] | None:
            failed = self.failure(key)
            assert not failed, failed
            return self.manifest(key)

        return wait_until(look, seconds, f"{key} has a manifest")

    def failed(self, key: str, seconds: float = 90) -> dict[str, Any]:
        """The failure of the song `key`, waited for."""
        return wait_until(lambda: self.failure(key), seconds, f"{key} has a failure")

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the REST API; its JSON, or None."""
        request = urllib.request.Request(
            self.here.page + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def job(self, key: str) -> dict[str, Any] | None:
        """The newest job of the song `key` as the API tells of it."""
        jobs = self.api("GET", f"/apiv1/jobs?key={quote(key, safe='')}")["jobs"]
        return jobs[0] if jobs else None

    def on_bus(self, user: str, do: Callable[[Any], Any]) -> Any:
        """Run `do(client)`, a coroutine, with a connection to NATS as `user`."""

        async def main() -> Any:
            client = await nats.connect(
                self.here.variables["NATS_URL"],
                user=user,
                password=self.here.variables[f"NATS_{user.upper()}_PASSWORD"],
                inbox_prefix=f"_INBOX_{user}",
            )
            try:
                return await do(client)
            finally:
                await client.close()

        # a thread of its own: a browser under test keeps an event loop in this one
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, main()).result()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        for line in process.stdout or ():
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                continue  # MinIO and NATS speak as they like


@contextmanager
def machine(folder: Path, *parts: str, **settings: str) -> Iterator[Machine]:
    """A machine in `folder` with `parts` of the Procfile up, provisioned and ready."""
    here = local(folder, ports=dict.fromkeys(PORTS, 0))
    # One thread each: two songs at once on two cores, not four threads in each other's way.
    here.variables.update({"OMP_NUM_THREADS": "1", "GRACE_SECONDS": "10"} | settings)
    one = Machine(here)
    try:
        first = [part for part in parts if part in ("nats", "minio")]
        one.start(*first)
        provision(here)
        one.start(*(part for part in parts if part not in first))
        one.ready(*(part for part in parts if part in READY))
        yield one
    finally:
        one.end()


def _client(here: Local) -> Minio:
    variables = here.of("provision")
    keys = variables["STORE_ACCESS_KEY"], variables["STORE_SECRET_KEY"]
    return store.connect(StoreSettings(here.store, here.store, *keys))


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
