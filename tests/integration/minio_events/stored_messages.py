"""The messages of a stream."""

from nats.aio.client import Client
from nats.js.api import RawStreamMsg

from testing.stack import Stack


def stored_messages(stack: Stack, stream: str) -> list[RawStreamMsg]:
    """Return all messages of the stream, oldest first; none may have been deleted in between."""

    async def read(client: Client) -> list[RawStreamMsg]:
        js = client.jetstream()
        state = (await js.stream_info(stream)).state
        numbers = range(state.first_seq, state.last_seq + 1)
        return [await js.get_msg(stream, number) for number in numbers]

    messages: list[RawStreamMsg] = stack.on_bus("tests", read)
    return messages
