"""How the programs connect to the bus."""

import asyncio
import logging

import pytest

from microdemucs.settings import BusSettings
from minio_events.connection import connect
from testing.stack import Stack
from tests.integration.minio_events.asyncio_waiting import wait_for
from tests.integration.minio_events.connections import connected
from tests.integration.minio_events.program import failure_line, run_program


@pytest.mark.parametrize(
    "command", [["bridge"], ["intake"], ["sweep"], ["dead-letters", "list"]], ids=" ".join
)
def test_a_wrong_password_ends_the_program_with_one_line(
    bus_stack: Stack, command: list[str]
) -> None:
    component = "events" if command[0] == "dead-letters" else command[0]
    completed = run_program(bus_stack, component, command, NATS_PASSWORD="wrong")
    url = bus_stack.environment.variables["NATS_URL"]
    assert failure_line(completed) == f"the bus at {url} refuses NATS_USER and NATS_PASSWORD"


def test_a_bus_that_is_not_up_yet_is_waited_for(bus_stack: Stack) -> None:
    async def main() -> None:
        await asyncio.to_thread(bus_stack.kill, "nats")
        connecting = asyncio.create_task(connect(bus_stack.bus_settings("events"), "test"))
        done, _ = await asyncio.wait({connecting}, timeout=1.5)
        assert not done
        bus_stack.start("nats")
        client = await asyncio.wait_for(connecting, 20)
        assert client.is_connected
        await client.close()

    asyncio.run(main())


def test_a_lost_connection_comes_back_and_both_are_logged(
    bus_stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with connected(bus_stack, "events") as client:
            await asyncio.to_thread(bus_stack.kill, "nats")
            await wait_for(lambda: not client.is_connected, "the connection is lost")
            bus_stack.start("nats")
            await wait_for(lambda: "bus reconnected" in caplog.messages, "it is back")
            assert client.is_connected

    asyncio.run(main())
    assert caplog.messages == ["bus disconnected", "bus reconnected"]


def test_a_refused_subject_is_logged(bus_stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with connected(bus_stack, "events") as client:
            await client.publish("anything", b"")
            await wait_for(lambda: "bus refused" in caplog.messages, "it is logged")

    asyncio.run(main())
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "permissions violation" in vars(record)["reason"].lower()


def test_the_password_is_in_no_line(bus_stack: Stack) -> None:
    completed = run_program(bus_stack, "bridge", ["bridge"], NATS_PASSWORD="very-wrong-password")
    assert "very-wrong-password" not in completed.stdout + completed.stderr
    assert "very-wrong-password" not in repr(BusSettings("nats://h", "u", "very-wrong-password"))
