from collections.abc import Callable

import pytest

from functions.upload.context import Context, context
from functions.upload.streams import stream_response
from microdemucs.problems import RetryLater
from testing.web_client import WebClient


@pytest.fixture
def ctx(serve: Callable[..., WebClient]) -> Context:
    """A context that allows one stream."""
    with serve(EVENT_STREAMS="1").application.app_context():
        return context()


def test_a_stream_counts_until_its_response_is_closed(ctx: Context) -> None:
    with stream_response(ctx, [b"a", b"b"], "audio/mpeg", "wait") as response:
        assert response.data == b"ab"
        with pytest.raises(RetryLater, match=r"all 1 streams .* are in use: wait"):
            stream_response(ctx, [], "audio/mpeg", "wait")
    stream_response(ctx, [], "audio/mpeg", "wait").close()


def test_an_error_while_a_stream_begins_uses_up_none(ctx: Context) -> None:
    for _ in range(3):
        with pytest.raises(AttributeError):
            stream_response(ctx, [], 5, "wait")  # type: ignore[arg-type]
    stream_response(ctx, [], "audio/mpeg", "wait").close()


def test_a_proxy_is_told_not_to_hold_the_stream_back(ctx: Context) -> None:
    with stream_response(ctx, [], "text/event-stream", "poll") as response:
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.content_type == "text/event-stream; charset=utf-8"
