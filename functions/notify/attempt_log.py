"""Publish what became of each attempt, for the people who run webhooks. Nothing depends on it."""

from datetime import UTC, datetime, timedelta

import msgspec

from microdemucs.bus import ATTEMPTS_SUBJECT, Bus
from microdemucs.messages import Attempt, Delivery, DeliveryState
from microdemucs.problems import now, time_text
from microdemucs.webhooks import is_callback


class _Event(msgspec.Struct):
    type: str = ""


def log_attempt(
    bus: Bus,
    delivery: Delivery,
    attempt: int,
    state: DeliveryState,
    *,
    status: int = 0,
    reason: str = "",
    delay: float | None = None,
) -> None:
    """Publish an attempt of a webhook, without waiting; a callback has none.

    `delay` is in seconds, until the next attempt is due.
    """
    if is_callback(delivery.target):
        return
    due = "" if delay is None else time_text(datetime.now(UTC) + timedelta(seconds=delay))
    message = Attempt(
        delivery=delivery.delivery,
        type=_type_of(delivery.body),
        job=delivery.job,
        attempt=attempt,
        time=now(),
        state=state,
        status=status,
        reason=reason,
        next=due,
        trace=delivery.trace,
    )
    bus.send(f"{ATTEMPTS_SUBJECT}.{delivery.target}", message.write())


def _type_of(body: str) -> str:
    try:
        return msgspec.json.decode(body, type=_Event).type
    except msgspec.DecodeError:
        return ""
