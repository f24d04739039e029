"""What people see of the attempts: published on a real bus, and read with the rights of upload."""

from datetime import datetime
from typing import Any

import pytest
from flask.testing import FlaskClient

from microdemucs.bus import ATTEMPTS, ATTEMPTS_SUBJECT, Bus
from microdemucs.events import COMPLETED
from microdemucs.messages import Attempt, DeliveryState
from testing.stack import Stack
from testing.waiting import wait_until
from tests.integration.notify.events import delivery_due, delivery_message, post_event, put_webhook
from tests.integration.notify.webhook_receiver import StartReceiver


@pytest.fixture
def target(request: pytest.FixtureRequest) -> str:
    """A webhook's id that no other test has."""
    return request.node.name.encode().hex()[-60:]


def deliver(notify: FlaskClient, target: str, attempt: int = 1, **members: Any) -> None:
    body = f'{{"type": "{COMPLETED}"}}'
    post_event(notify, delivery_due(delivery_message(target, body=body, **members), attempt))


def attempts_of(registry: Bus, target: str, count: int = 1) -> list[Attempt]:
    """The attempts of the webhook, oldest first, once there are so many; read as upload does."""

    def read() -> list[Attempt]:
        subject = f"{ATTEMPTS_SUBJECT}.{target}"
        messages, _ = registry.messages(ATTEMPTS, subject, after=0, most=100)
        return [Attempt.read(message.data) for message in messages]

    return wait_until(lambda: (found := read())[count - 1 :] and found)


def test_an_attempt_that_succeeds_is_delivered(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver, target: str
) -> None:
    put_webhook(registry, target, receiver((202, {})).url)
    deliver(notify, target)
    [attempt] = attempts_of(registry, target)
    assert (attempt.state, attempt.status, attempt.reason) == (DeliveryState.DELIVERED, 202, "")
    assert (attempt.attempt, attempt.type, attempt.next) == (1, COMPLETED, "")


def test_a_failed_attempt_waits_for_the_next_one(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver, target: str
) -> None:
    put_webhook(registry, target, receiver((503, {"Retry-After": "60"}), (200, {})).url)
    deliver(notify, target, 1)
    deliver(notify, target, 2)
    first, second = attempts_of(registry, target, 2)
    assert (first.state, first.status) == (DeliveryState.WAITING, 503)
    assert first.reason == "the receiver answered 503"
    waits = datetime.fromisoformat(first.next) - datetime.fromisoformat(first.time)
    assert 59 < waits.total_seconds() < 61
    assert (second.state, second.attempt) == (DeliveryState.DELIVERED, 2)


def test_a_receiver_without_a_response_has_no_status(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver, target: str
) -> None:
    hook = receiver()
    put_webhook(registry, target, hook.url)
    hook.close()
    deliver(notify, target)
    [attempt] = attempts_of(registry, target)
    assert (attempt.state, attempt.status) == (DeliveryState.WAITING, 0)
    assert attempt.reason.startswith("there was no HTTP response")


def test_the_last_attempt_of_the_schedule_has_failed(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver, target: str
) -> None:
    put_webhook(registry, target, receiver((500, {})).url)
    deliver(notify, target, 99, created="2020-01-01T00:00:00.000Z")
    [attempt] = attempts_of(registry, target)
    assert (attempt.state, attempt.next) == (DeliveryState.FAILED, "")


def test_a_receiver_that_wants_no_more_has_failed(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver, target: str
) -> None:
    put_webhook(registry, target, receiver((410, {})).url)
    deliver(notify, target)
    [attempt] = attempts_of(registry, target)
    assert (attempt.state, attempt.status) == (DeliveryState.FAILED, 410)


def test_the_last_50_attempts_are_kept(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver, stack: Stack, target: str
) -> None:
    put_webhook(registry, target, receiver().url)
    for number in range(1, 53):
        deliver(notify, target, number)
    wait_until(lambda: attempts_of(registry, target)[-1].attempt == 52)
    assert [attempt.attempt for attempt in attempts_of(registry, target)] == [*range(3, 53)]
