"""The stack of a test or benchmark: the Procfile's components, in a folder of its own.

Each component is a process group of its own, so that a test can kill it.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import nats
from minio import Minio

from local.environment import PORTS, Environment
from local.processes import commands
from local.stack import answers, provision
from microdemucs import store
from microdemucs.events import ObjectCreated
from microdemucs.manifest import failure_key, manifest_key
from microdemucs.paths import ROOT
from microdemucs.problems import RetryLater
from microdemucs.settings import BusSettings, StoreSettings
from testing.bus_config import TESTS, write_bus_config
from testing.events_secret import EVENTS_SECRET
from testing.function_process import function_process
from testing.objects import put_song, read_json
from testing.waiting import wait_until

COMPONENTS = ("bridge", "intake", "separate", "upload", "notify")
"""All components but NATS and MinIO, which every stack has, and the sweep."""

_PORT_OF = {"upload": "UPLOAD_PORT", "notify": "NOTIFY_PORT", "separate": "SEPARATE_PORT"}


class Stack:
    """The components that run, what they logged, and clients of the store, the bus and the API.

    A context manager: nothing of the stack runs after it.
    """

    def __init__(self, folder: Path) -> None:
        self.environment = Environment.create(folder, ports=dict.fromkeys(PORTS, 0))
        self.environment.variables["EVENTS_SECRET"] = EVENTS_SECRET  # tests sign events, too
        # not the full model, even if `make run` has fetched it
        self.environment.variables.setdefault("MODEL", "htdemucs_tiny")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.log: list[dict[str, Any]] = []
        self.store: Minio = store.connect(self.store_settings("provision"))
        config = folder / "nats.conf"
        write_bus_config(config)
        self._commands = commands() | {"nats": f"exec nats-server -c '{config}'"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, *components: str, **settings: str) -> None:
        """Start these lines of the Procfile; `settings` are further environment variables."""
        for component in components:
            with (self.environment.folder / f"{component}.log").open("ab") as errors:
                process = subprocess.Popen(
                    self._commands[component],
                    shell=True,
                    cwd=ROOT,
                    env=self.process_environment(component) | settings,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    start_new_session=True,
                    **self.process_options(component),
                )
            self.processes[component] = process
            threading.Thread(target=self._read_log, args=(process,), daemon=True).start()

    def process_environment(self, component: str) -> dict[str, str]:
        """Return the environment of a process, with the secrets of its component only."""
        return self.environment.for_process(component)

    def process_options(self, component: str) -> dict[str, Any]:  # noqa: ARG002 (overridden)
        """Return further arguments of Popen for the process of `component`."""
        return {}

    def wait_until_ready(self, *functions: str) -> None:
        """Wait until these functions answer at /readyz."""
        for function in functions:
            port = self.environment.variables[_PORT_OF[function]]
            url = f"http://127.0.0.1:{port}/readyz"
            wait_until(partial(answers, url), 90, f"{function} is ready")

    def wait_for_store(self) -> None:
        """Wait until the store answers."""

        def store_answers() -> bool:
            try:
                with store.map_store_errors():
                    return self.store.bucket_exists("stems")
            except RetryLater:
                return False

        wait_until(store_answers, 60, "the store answers")

    def kill(self, component: str) -> None:
        """Send SIGKILL to every process of `component`."""
        process = self.processes.pop(component)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self, component: str, seconds: float = 20) -> None:
        """Send SIGTERM and wait. Raises TimeoutExpired, after SIGKILL, if it does not end."""
        process = self.processes.pop(component)
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise

    def close(self) -> None:
        """Kill all components."""
        for process in self.processes.values():
            with suppress(ProcessLookupError):  # it has already ended
                os.killpg(process.pid, signal.SIGKILL)
        for process in self.processes.values():
            process.wait()

    def logged(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """Return the log lines so far with this event and these fields."""
        expected = {"event": event} | fields
        return [line for line in list(self.log) if expected.items() <= line.items()]

    def connection(self, user: str) -> dict[str, str]:
        """Return the variables with which `user` connects to the store, the bus and the bridge."""
        variables = self.environment.for_component(user)
        return {
            name: variables[name]
            for name in (
                *("NATS_URL", "NATS_USER", "NATS_PASSWORD"),
                *("STORE_URL", "STORE_ACCESS_KEY", "STORE_SECRET_KEY"),
                "EVENTS_SECRET",
            )
            if name in variables  # upload gets no events
        }

    def store_settings(self, user: str) -> StoreSettings:
        """Return the store's address with the keys of `user`; provision is the store's root."""
        variables = self.connection(user)
        return StoreSettings(
            url=variables["STORE_URL"],
            access_key=variables["STORE_ACCESS_KEY"],
            secret_key=variables["STORE_SECRET_KEY"],
        )

    def bus_settings(self, user: str) -> BusSettings:
        """Return the address of the bus with the password of `user`; `tests` may do everything."""
        variables = self.environment.variables
        if user == TESTS:
            return BusSettings(variables["NATS_URL"], TESTS, TESTS)
        return BusSettings(variables["NATS_URL"], user, variables[f"NATS_{user.upper()}_PASSWORD"])

    def has_notified_all(self, bucket: str = "") -> bool:
        """Return whether the store's durable targets, or that of `bucket`, have sent everything."""
        queue = self.environment.folder / "queue" / bucket
        return not any(queue.rglob("*.event*"))

    def on_bus(self, user: str, use: Callable[[Any], Any]) -> Any:
        """Run the coroutine function `use` with a NATS client that is connected as `user`."""

        async def main() -> Any:
            settings = self.bus_settings(user)
            client = await nats.connect(
                settings.url,
                user=user,
                password=settings.password,
                inbox_prefix=f"_INBOX_{user}",
            )
            try:
                return await use(client)
            finally:
                await client.close()

        # In a thread of its own: playwright keeps an event loop in this one.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, main()).result()

    def is_idle(self, stream: str = "SONGS", consumer: str = "separate") -> bool:
        """Return whether the consumer has neither pending nor unacknowledged messages.

        For songs the queue is empty, too.
        """

        async def read(client: Any) -> bool:
            is_idle = await has_acknowledged_all(client, stream, consumer)
            if consumer == "separate":
                queue = await client.jetstream().stream_info("QUEUE")
                is_idle = is_idle and not queue.state.messages
            return is_idle

        return bool(self.on_bus(TESTS, read))

    def has_delivered(self) -> bool:
        """Return whether no delivery is left: neither due, nor waiting for another attempt."""

        async def read(client: Any) -> bool:
            js = client.jetstream()
            states = [(await js.stream_info(name)).state for name in ("OUTBOX", "DELIVERIES")]
            return not any(state.messages for state in states)

        return bool(self.on_bus(TESTS, read))

    def put_song(
        self, key: str, body: bytes, content_type: str = "audio/mpeg", **metadata: str
    ) -> ObjectCreated:
        """Put a song as the store's root."""
        return put_song(self.store, key, body, content_type=content_type, metadata=metadata)

    def manifest(self, key: str) -> dict[str, Any] | None:
        """Return the manifest of the song `key`, if there is one."""
        return read_json(self.store, "stems", manifest_key(key))

    def failure(self, key: str) -> dict[str, Any] | None:
        """Return the failure of the song `key`, if there is one."""
        return read_json(self.store, "stems", failure_key(key))

    def wait_for_manifest(self, key: str, seconds: float = 90) -> dict[str, Any]:
        """Return the manifest of the song `key`. Raises AssertionError if the job fails."""

        def manifest() -> dict[str, Any] | None:
            failure = self.failure(key)
            assert not failure, failure
            return self.manifest(key)

        return wait_until(manifest, seconds, f"{key} has a manifest")

    def wait_for_failure(self, key: str, seconds: float = 90) -> dict[str, Any]:
        """Return the failure of the song `key`."""
        return wait_until(lambda: self.failure(key), seconds, f"{key} has a failure")

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Call the REST API; return its JSON answer, or None if it is empty."""
        request = urllib.request.Request(
            self.environment.upload_url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            text = response.read()
        return json.loads(text) if text else None

    def job(self, key: str) -> dict[str, Any] | None:
        """Return the newest job of the song `key` from the API, if it has one."""
        jobs = self.api("GET", f"/apiv1/jobs?key={quote(key, safe='')}")["jobs"]
        return jobs[0] if jobs else None

    def progress(self, key: str) -> float:
        """Return the progress of the song's newest job while it runs, otherwise 0."""
        job = self.job(key) or {}
        return float(job["progress"]) if job.get("state") == "running" else 0.0

    def wait_for_job(self, key: str, state: str, seconds: float = 60) -> dict[str, Any]:
        """Return the newest job of the song `key`, once it is in this state."""

        def job() -> dict[str, Any] | None:
            job = self.job(key)
            return job if job and job["state"] == state else None

        return wait_until(job, seconds, f"the job of {key} is {state}")

    @contextmanager
    def serve(self, function: str, output: Path, **settings: str) -> Iterator[str]:
        """Serve one more process of `function` with these settings; yield its URL.

        Unlike the Procfile's line, it has no settings but its connection and these.
        """
        command = [sys.executable, "-m", "microdemucs.service", function]
        variables = self.connection(function) | settings
        with function_process(command, variables, output) as process:
            yield process.url

    def _read_log(self, process: subprocess.Popen[bytes]) -> None:
        for line in process.stdout or ():
            with suppress(ValueError):  # MinIO and NATS do not write JSON
                self.log.append(json.loads(line))


async def has_acknowledged_all(client: Any, stream: str, consumer: str) -> bool:
    """Return whether the consumer has neither pending nor unacknowledged messages."""
    info = await client.jetstream().consumer_info(stream, consumer)
    return not info.num_pending and not info.num_ack_pending


@contextmanager
def running_stack(folder: Path, *components: str, **settings: str) -> Iterator[Stack]:
    """Start NATS and MinIO, provision them, and start `components`; yield when they are ready."""
    with Stack(folder) as stack:
        # One thread each, as two songs at once share two cores.
        defaults = {"OMP_NUM_THREADS": "1", "GRACE_SECONDS": "10"}
        stack.environment.variables.update(defaults | settings)
        stack.start("nats", "minio")
        provision(stack.environment)
        stack.start(*components)
        stack.wait_until_ready(*(name for name in components if name in _PORT_OF))
        yield stack
