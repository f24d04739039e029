"""One attempt of one delivery: sign it, post it, and act on the response (Standard Webhooks).

2xx: done. 410: the webhook is deactivated. Anything else: retry until the schedule ends, and
deactivate the webhook if all its attempts have failed for days.
"How a webhook is retried" in docs/events.md explains the whole path.
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from standardwebhooks import Webhook

from functions.notify.attempt_log import log_attempt
from functions.notify.context import Context
from functions.notify.deliveries import next_delay
from functions.notify.egress import Unreachable
from microdemucs.addresses import ForbiddenUrl, parse_webhook_url
from microdemucs.bus import WEBHOOKS, Bus, RevisionConflict
from microdemucs.manifest import BadDocument
from microdemucs.messages import Delivery, DeliveryState
from microdemucs.problems import Problem, Rejected, RetryLater, now
from microdemucs.webhooks import CallbackRecord, WebhookRecord, is_callback

log = logging.getLogger(__name__)

_MAY_ASK_FOR_TIME = {429, 503}


class _Receiver(NamedTuple):
    """Where a delivery goes. `webhook` is None for a callback."""

    url: str
    secret: str
    webhook: WebhookRecord | None
    revision: int


def attempt_delivery(ctx: Context, delivery: Delivery, attempt: int) -> None:
    """Post the delivery once; `attempt` counts from 1.

    Raises RetryLater if it must be repeated, and Rejected if it can never succeed or the
    schedule has ended. The bridge repeats or dead-letters the delivery accordingly.
    """
    receiver = _find_receiver(ctx, delivery.target)
    if receiver is None:
        log.info("webhook delivery dropped: the webhook was removed or deactivated")
        return
    try:
        host = parse_webhook_url(receiver.url).name
        headers = _signed_headers(delivery, receiver.secret)
        response = ctx.egress.post(receiver.url, headers, delivery.body.encode())
    except ForbiddenUrl as error:
        log.error("webhook URL not allowed", extra={"reason": str(error)})
        log_attempt(ctx.bus, delivery, attempt, DeliveryState.FAILED, reason=str(error))
        raise Rejected("webhook-refused", "This webhook URL is not allowed", str(error)) from error
    except Unreachable as error:
        _record_failure(ctx, receiver, host)
        raise _failed(ctx, delivery, attempt, host, str(error)) from error
    status = response.status
    if status == 410:
        reason = "the receiver answered 410"
        _deactivate(ctx.bus, receiver, reason)
        log_attempt(ctx.bus, delivery, attempt, DeliveryState.FAILED, status=status, reason=reason)
        log.warning("webhook deactivated: it answered 410", extra={"receiver": host})
    elif not 200 <= status < 300:
        _record_failure(ctx, receiver, host)
        retry_after = response.retry_after if status in _MAY_ASK_FOR_TIME else 0
        reason = f"the receiver answered {status}"
        raise _failed(ctx, delivery, attempt, host, reason, retry_after, status)
    else:
        if receiver.webhook and receiver.webhook.failing_since:
            _update(ctx.bus, receiver, failing_since="")
        log_attempt(ctx.bus, delivery, attempt, DeliveryState.DELIVERED, status=status)
        log.info(
            "webhook delivered",
            extra={"receiver": host, "attempt": attempt, "status": status},
        )


def _signed_headers(delivery: Delivery, secret: str) -> dict[str, str]:
    signed_at = datetime.now(UTC)
    return {
        "Content-Type": "application/json",
        "User-Agent": "micro-demucs",
        "webhook-id": delivery.delivery,
        "webhook-timestamp": str(int(signed_at.timestamp())),
        "webhook-signature": Webhook(secret).sign(delivery.delivery, signed_at, delivery.body),
    }


def _failed(
    ctx: Context,
    delivery: Delivery,
    attempt: int,
    host: str,
    reason: str,
    retry_after: float = 0,
    status: int = 0,
) -> Problem:
    age = (datetime.now(UTC) - datetime.fromisoformat(delivery.created)).total_seconds()
    delay = next_delay(delivery.delivery, attempt, age, ctx.settings.schedule, retry_after)
    about = {"receiver": host, "attempt": attempt, "reason": reason}
    state = DeliveryState.FAILED if delay is None else DeliveryState.WAITING
    log_attempt(ctx.bus, delivery, attempt, state, status=status, reason=reason, delay=delay)
    if delay is None:
        log.error("webhook delivery given up", extra=about)
        return Rejected(
            "undeliverable",
            "The webhook could not be delivered",
            f"attempt {attempt} was the last: {reason}",
        )
    log.warning("webhook delivery failed", extra=about | {"delay_s": round(delay)})
    return RetryLater(
        "not-delivered", "The webhook was not delivered and will be retried", reason, after=delay
    )


def _find_receiver(ctx: Context, target: str) -> _Receiver | None:
    """Return the target's URL and secret as of now; None if it was removed or deactivated."""
    entry = ctx.bus.get(WEBHOOKS, target)
    if entry is None or entry.value is None:
        return None
    try:
        if is_callback(target):
            callback = CallbackRecord.read(entry.value)
            return _Receiver(callback.url, ctx.settings.callback_secret, None, entry.revision)
        webhook = WebhookRecord.read(entry.value)
    except BadDocument as error:
        log.error("webhook record cannot be read", extra={"target": target, "reason": str(error)})
        raise Rejected(
            "undeliverable",
            "The webhook's record cannot be read",
            f"{target} in the key-value bucket {WEBHOOKS}: {error}",
        ) from error
    if not webhook.active:
        return None
    return _Receiver(webhook.url, webhook.secret, webhook, entry.revision)


def _record_failure(ctx: Context, receiver: _Receiver, host: str) -> None:
    """Remember since when the webhook's attempts fail; deactivate it if that is too long."""
    webhook = receiver.webhook
    if webhook is None:
        return
    if not webhook.failing_since:
        _update(ctx.bus, receiver, failing_since=now())
        return
    days = ctx.settings.deactivate_days
    failing = datetime.now(UTC) - datetime.fromisoformat(webhook.failing_since)
    if failing >= timedelta(days=days):
        reason = f"every attempt since {webhook.failing_since} has failed"
        _deactivate(ctx.bus, receiver, reason)
        about = {"receiver": host, "reason": reason}
        log.error("webhook deactivated: its deliveries fail", extra=about)


def _deactivate(bus: Bus, receiver: _Receiver, reason: str) -> None:
    _update(bus, receiver, active=False, inactive_reason=reason, updated=now())


def _update(bus: Bus, receiver: _Receiver, **changes: Any) -> None:
    """Change the webhook's record, unless somebody else has changed it since it was read."""
    if receiver.webhook is None:
        return
    changed = msgspec.structs.replace(receiver.webhook, **changes)
    try:
        bus.update(WEBHOOKS, receiver.webhook.id, changed.write(), receiver.revision)
    except RevisionConflict:  # its owner's change takes precedence; the next attempt looks again
        log.info("webhook record left as it is: it was changed meanwhile")
