import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from local import stack
from local.environment import PORTS, Environment
from local.ports import free_port
from testing.http_receiver import HttpReceiver
from testing.stack import Stack
from testing.waiting import wait_until

SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def honcho(tmp_path: Path) -> Iterator[int]:
    """A process that looks like the stack of `tmp_path`."""
    process = subprocess.Popen([sys.executable, "-c", SLEEP, "local.processes"])
    wait_until(lambda: b"local.processes" in Path(f"/proc/{process.pid}/cmdline").read_bytes(), 10)
    (tmp_path / "pid").write_text(str(process.pid))
    yield process.pid
    process.kill()
    process.wait()


def test_a_running_stack_is_found_by_its_process(honcho: int, tmp_path: Path) -> None:
    assert stack.running(tmp_path) == honcho


def test_without_a_pid_file_no_stack_is_running(tmp_path: Path) -> None:
    assert stack.running(tmp_path) is None


def test_another_process_with_the_same_id_is_not_the_stack(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text("1")
    assert stack.running(tmp_path) is None


def test_a_second_stack_in_the_same_folder_is_refused(honcho: int, tmp_path: Path) -> None:
    environment = Environment.create(tmp_path, ports=dict.fromkeys(PORTS, 0))
    with (
        pytest.raises(stack.NotUp, match=f"already up .process {honcho}.; `make stop` ends it"),
        stack.stack(environment),
    ):
        pass


@pytest.mark.parametrize(("status", "expected"), [(200, True), (204, False), (503, False)])
def test_a_url_answers_if_its_status_is_200(status: int, expected: bool) -> None:
    with HttpReceiver(lambda _: (status, {})) as server:
        assert stack.answers(server.url) is expected


def test_a_closed_port_does_not_answer() -> None:
    assert not stack.answers(f"http://127.0.0.1:{free_port()}")


LOG = """\
12:00:01 system   | nats started (pid=1)
12:00:01 sweep    | {"event": "sweep failed", "reason": "an earlier error"}
12:00:02 sweep    | Traceback (most recent call last):
12:00:02 sweep    | RecursionError: maximum recursion depth exceeded
12:00:02 sweep    | that was all
12:00:02 system   | sweep stopped (rc=1)
12:00:02 system   | sending SIGTERM to nats (pid 1)
12:00:02 nats     | [INF] an error while shutting down
12:00:02 system   | nats stopped (rc=0)
"""


def test_the_first_component_that_ended_is_named_with_its_last_error(tmp_path: Path) -> None:
    log = tmp_path / "stack.log"
    log.write_text(LOG)
    line = stack.why_it_ended(log, "unexpectedly")
    reason = "RecursionError: maximum recursion depth exceeded"
    assert line == f"sweep ended unexpectedly: {reason}; see {log}"


def test_a_log_in_which_nothing_ended_is_named(tmp_path: Path) -> None:
    log = tmp_path / "stack.log"
    log.write_text(LOG.splitlines()[0])
    assert stack.why_it_ended(log, "unexpectedly") == f"the stack ended unexpectedly: see {log}"


def test_streams_of_a_version_without_accounts_are_kept(tmp_path: Path) -> None:
    running = Stack(tmp_path)
    store, port = running.environment.variables["NATS_STORE"], free_port()
    command = ["nats-server", "-js", "-sd", store, "-a", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(
        command, env=running.environment.for_manager(), stderr=subprocess.DEVNULL
    ) as old:
        asyncio.run(add_stream(f"nats://127.0.0.1:{port}"))
        old.terminate()
    stack.move_streams(Path(store))
    with running:
        running.start("nats")

        async def kept(client: Client) -> int:
            return (await client.jetstream().stream_info("SONGS")).state.messages

        url = running.environment.variables["NATS_URL"]
        wait_until(lambda: answers(url), 20, "NATS accepts connections")
        assert running.on_bus("tests", kept) == 1
        stack.move_streams(Path(store))  # a second time changes nothing
        assert running.on_bus("tests", kept) == 1


def answers(url: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) == 0


async def add_stream(url: str) -> None:
    async def ignore(_: Exception) -> None:
        """The server is not up yet."""

    client = await nats.connect(
        url, reconnect_time_wait=0.05, max_reconnect_attempts=200, error_cb=ignore
    )
    await client.jetstream().add_stream(name="SONGS", subjects=["minio.songs"])
    await client.jetstream().publish("minio.songs", b"a song")
    await client.close()
