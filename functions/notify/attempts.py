"""One attempt of one delivery, and what its answer means, as Standard Webhooks has it.

2xx is done, 410 switches the webhook off, all else is tried again until the schedule ends.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook

from functions.notify.context import Context
from functions.notify.deliveries import CALLBACK, Delivery, wait
from functions.notify.egress import Answer, Unreachable
from microdemucs.addresses import ForbiddenUrl, parse_webhook_url
from microdemucs.bus import WEBHOOKS, Bus, RevisionConflict
from microdemucs.problems import Problem, Rejected, RetryLater, now

log = logging.getLogger(__name__)


def attempt(ctx: Context, delivery: Delivery, number: int) -> None:
    """Post `delivery` for the `number`th time, 1 for the first.

    Raises RetryLater where it is to be tried again, Rejected where it never will be.
    """
    record = _record(ctx.bus, delivery.target)
    if record is None:
        log.info("webhook gone or switched off: not delivered")
        return
    url, secret = record["url"], record.get("secret", ctx.settings.callback_secret)
    try:
        host = parse_webhook_url(url).name
        answer = ctx.egress.post(url, _headers(delivery, secret), delivery.body.encode())
    except ForbiddenUrl as error:
        log.error("webhook refused", extra={"reason": str(error)})
        raise Rejected("webhook-refused", "A webhook may not go there", str(error)) from error
    except Unreachable as error:
        raise _failed(ctx, delivery, number, host, str(error)) from error
    if answer.status == 410:
        _switch_off(ctx.bus, delivery.target)
        log.warning("webhook answered 410: switched off", extra={"receiver": host})
    elif not 200 <= answer.status < 300:
        said = f"it answered {answer.status}"
        raise _failed(ctx, delivery, number, host, said, _asked(answer))
    else:
        about = {"receiver": host, "attempt": number, "status": answer.status}
        log.info("webhook delivered", extra=about)


def _headers(delivery: Delivery, secret: str) -> dict[str, str]:
    moment = datetime.now(UTC)
    return {
        "Content-Type": "application/json",
        "User-Agent": "micro-demucs",
        "webhook-id": delivery.delivery,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(delivery.delivery, moment, delivery.body),
    }


def _failed(
    ctx: Context, delivery: Delivery, number: int, host: str, why: str, asked: float = 0
) -> Problem:
    age = (datetime.now(UTC) - datetime.fromisoformat(delivery.created)).total_seconds()
    after = wait(delivery.delivery, number, age, ctx.settings.schedule, asked)
    about = {"receiver": host, "attempt": number, "reason": why}
    if after is None:
        log.error("webhook given up", extra=about)
        detail = f"{number} attempts, the last: {why}"
        return Rejected("undeliverable", "A webhook did not take an event", detail)
    log.warning("webhook failed", extra={**about, "again_s": round(after)})
    return RetryLater("not-delivered", "A webhook did not take an event yet", why, after=after)


def _asked(answer: Answer) -> float:
    return answer.retry_after if answer.status in (429, 503) else 0


def _record(bus: Bus, target: str) -> dict[str, Any] | None:
    entry = bus.get(WEBHOOKS, target)
    if entry is None or entry.value is None:
        return None
    record: dict[str, Any] = json.loads(entry.value)
    return record if target.startswith(CALLBACK) or record["active"] else None


def _switch_off(bus: Bus, target: str) -> None:
    """No more of this webhook's events; whoever owns it may switch it on again."""
    entry = None if target.startswith(CALLBACK) else bus.get(WEBHOOKS, target)
    if entry is None or entry.value is None:
        return
    record = json.loads(entry.value) | {"active": False, "updated": now()}
    try:
        bus.update(WEBHOOKS, target, json.dumps(record).encode(), entry.revision)
    except RevisionConflict:  # changed this moment by its owner, whose word counts
        log.info("webhook changed meanwhile: left as it is")
