"""The bridge replays and drops dead letters for upload, which may only read them."""

from nats.aio.client import Client
from nats.errors import NoRespondersError

from microdemucs.dead_letters import DROP_SUBJECT, REPLAY_SUBJECT
from testing.http_receiver import in_turn
from testing.stack import Stack
from testing.waiting import wait_until
from tests.integration.minio_events.bridge_process import (
    dead_letters_of,
    new_song,
    notify,
    running_bridge,
)
from tests.integration.minio_events.function_server import FunctionServer


def ask(stack: Stack, subject: str, number: bytes) -> str:
    """Return the bridge's reply to a request of upload, once it listens."""

    async def request(client: Client) -> str:
        try:
            return (await client.request(subject, number, timeout=10)).data.decode()
        except NoRespondersError:
            return ""

    reply: str = wait_until(lambda: stack.on_bus("upload", request))
    return reply


def test_upload_has_a_song_replayed_and_another_dropped(bus_stack: Stack) -> None:
    responses = in_turn((422, {}), (422, {}))
    with FunctionServer(responses) as separate, running_bridge(bus_stack, separate):
        notify(bus_stack, new_song("a.mp3"), new_song("b.mp3"))
        first, second = wait_until(
            lambda: (found := dead_letters_of(bus_stack))[1:] and found, 20, "two dead letters"
        )
        assert ask(bus_stack, REPLAY_SUBJECT, str(first.number).encode()) == "done"
        wait_until(lambda: len(separate.requests) == 3 and bus_stack.is_idle())
        assert dead_letters_of(bus_stack) == [second]
        assert ask(bus_stack, DROP_SUBJECT, str(second.number).encode()) == "done"
        assert dead_letters_of(bus_stack) == []
        assert len(separate.requests) == 3


def test_a_number_that_no_dead_letter_has_is_unknown(bus_stack: Stack) -> None:
    numbers = (b"7", b"0", b"", b"x", b"-1", b"\xff", b"9" * 40)
    with FunctionServer() as separate, running_bridge(bus_stack, separate):
        for subject in (REPLAY_SUBJECT, DROP_SUBJECT):
            replies = {ask(bus_stack, subject, number) for number in numbers}
            assert replies == {"unknown"}
