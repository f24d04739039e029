"""Responses that last: event streams and previews. Each occupies a thread, so they are limited."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import flask

from functions.upload.context import Context
from microdemucs.problems import RetryLater


def stream_response(
    ctx: Context, chunks: Iterable[bytes] | Iterable[str], content_type: str, instead: str
) -> flask.Response:
    """Return a response that sends `chunks` as they come, and counts as one stream until its end.

    Raises RetryLater if all streams are in use; `instead` says what else to do.
    """
    with ExitStack() as stack:
        stack.enter_context(_one_stream(ctx, instead))
        response = flask.Response(chunks, mimetype=content_type)
        response.headers["X-Accel-Buffering"] = "no"  # nginx would hold the stream back
        response.call_on_close(stack.pop_all().close)
    return response


@contextmanager
def _one_stream(ctx: Context, instead: str) -> Iterator[None]:
    if not ctx.streams.acquire(blocking=False):
        raise RetryLater(
            "too-many-streams",
            "Too many open streams",
            f"all {ctx.settings.event_streams} streams (EVENT_STREAMS) are in use: {instead}",
        )
    try:
        yield
    finally:
        ctx.streams.release()
