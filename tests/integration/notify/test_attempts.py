"""One attempt of a delivery, with a real bus and real receivers."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from standardwebhooks import Webhook, WebhookVerificationError
from werkzeug.test import TestResponse

from microdemucs.bus import WEBHOOKS, Bus
from microdemucs.problems import now
from tests.integration.notify.events import (
    CALLBACK_SECRET,
    SECRET,
    delivery_due,
    delivery_message,
    job_started,
    post_event,
    put_webhook,
)
from tests.integration.notify.webhook_receiver import Pending, StartReceiver
from tests.unit.notify.documents import STARTED_MESSAGE


def attempt(
    notify: FlaskClient, attempt: int = 1, target: str = "w1", **members: Any
) -> TestResponse:
    return post_event(notify, delivery_due(delivery_message(target, **members), attempt))


def retry_after(response: TestResponse) -> int:
    assert response.status_code == 503
    return int(response.headers["Retry-After"])


def problem_type(response: TestResponse) -> str:
    return str(response.get_json()["type"])


def test_an_attempt_posts_the_body_with_the_headers_of_standard_webhooks(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver
) -> None:
    hook = receiver()
    put_webhook(registry, "w1", hook.url)
    assert attempt(notify).status_code == 204
    [request] = hook.requests
    assert request.path == "/hook?key=in-the-query"
    assert request.body == '{"ü": 1}'.encode()
    assert request.headers["content-type"] == "application/json"
    assert abs(int(request.headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 60
    assert Webhook(SECRET).verify(request.body, request.headers) == {"ü": 1}


def test_every_attempt_has_the_same_webhook_id(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver
) -> None:
    hook = receiver()
    put_webhook(registry, "w1", hook.url)
    attempt(notify)
    attempt(notify, 2)
    assert [request.headers["webhook-id"] for request in hook.requests] == ["msg_1", "msg_1"]


def test_an_attempt_is_signed_with_the_current_secret(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver
) -> None:
    hook = receiver()
    put_webhook(registry, "w1", hook.url)
    attempt(notify)
    changed = "whsec_" + "bmV3LXNlY3JldC1hZnRlci1hLXJvdGF0aW9uISE="
    put_webhook(registry, "w1", hook.url, secret=changed)
    attempt(notify, 2)
    request = hook.requests[1]
    assert Webhook(changed).verify(request.body, request.headers) == {"ü": 1}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body, request.headers)


def test_a_callback_is_signed_with_the_callback_secret(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver
) -> None:
    hook = receiver()
    record = {"url": hook.url, "data": 1, "created": "2026"}
    registry.put(WEBHOOKS, "callback.c1", json.dumps(record).encode())
    assert attempt(notify, target="callback.c1").status_code == 204
    [request] = hook.requests
    assert Webhook(CALLBACK_SECRET).verify(request.body, request.headers) == {"ü": 1}


@pytest.mark.parametrize("status", [301, 400, 401, 404, 429, 500, 503])
def test_after_any_other_status_the_schedule_decides(
    status: int, notify: FlaskClient, registry: Bus, receiver: StartReceiver
) -> None:
    put_webhook(registry, "w1", receiver((status, {}), (status, {})).url)
    assert 10 <= retry_after(attempt(notify)) <= 11
    assert 600 <= retry_after(attempt(notify, 2)) <= 660


def test_requests_that_never_reached_the_function_are_no_attempts(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver
) -> None:
    put_webhook(registry, "w1", receiver((500, {})).url)
    assert 10 <= retry_after(attempt(notify, 99, created=now())) <= 11


def test_the_last_attempt_of_the_schedule_is_undeliverable(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver
) -> None:
    put_webhook(registry, "w1", receiver((500, {})).url)
    response = attempt(notify, 3)
    assert response.status_code == 422
    assert problem_type(response) == "urn:micro-demucs:problem:undeliverable"
    assert response.get_json()["detail"] == "attempt 3 was the last: the receiver answered 500"


@pytest.mark.parametrize(
    ("status", "header", "delay"),
    [(429, "120", 120), (503, "120", 120), (503, "1", 10), (500, "120", 10), (503, "9" * 9, 86400)],
)
def test_retry_after_of_a_busy_receiver_lengthens_the_delay(
    status: int,
    header: str,
    delay: int,
    notify: FlaskClient,
    registry: Bus,
    receiver: StartReceiver,
) -> None:
    put_webhook(registry, "w1", receiver((status, {"Retry-After": header})).url)
    assert delay <= retry_after(attempt(notify)) <= delay * 1.1


def test_an_unreachable_receiver_gets_the_next_attempt(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver
) -> None:
    closed = receiver()
    closed.close()
    put_webhook(registry, "w1", closed.url)
    assert attempt(notify).status_code == 503
    hook = receiver()
    put_webhook(registry, "w1", hook.url)
    assert attempt(notify, 2).status_code == 204
    assert hook.requests[0].headers["webhook-id"] == "msg_1"


def test_410_deactivates_the_webhook(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver
) -> None:
    record = put_webhook(registry, "w1", receiver((410, {})).url)
    assert attempt(notify).status_code == 204
    entry = registry.get(WEBHOOKS, "w1")
    assert entry is not None
    deactivated = json.loads(entry.value or b"")
    assert deactivated.pop("updated") > record.pop("updated")
    assert deactivated == record | {
        "active": False,
        "failing_since": "",
        "inactive_reason": "the receiver answered 410",
    }


def test_410_does_not_remove_a_callback(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver
) -> None:
    record = json.dumps({"url": receiver((410, {})).url, "created": "2026"}).encode()
    registry.put(WEBHOOKS, "callback.c1", record)
    assert attempt(notify, target="callback.c1").status_code == 204
    entry = registry.get(WEBHOOKS, "callback.c1")
    assert entry is not None
    assert entry.value == record


def test_a_deactivated_webhook_gets_no_further_attempt(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver
) -> None:
    hook = receiver((410, {}))
    put_webhook(registry, "w1", hook.url)
    attempt(notify)
    assert attempt(notify, 2).status_code == 204
    assert len(hook.requests) == 1


def test_a_deactivated_webhook_gets_no_new_delivery(
    notify: FlaskClient, registry: Bus, pending: Pending, receiver: StartReceiver, job: str
) -> None:
    put_webhook(registry, "w1", receiver((410, {})).url)
    attempt(notify)
    post_event(notify, job_started(STARTED_MESSAGE | {"job": job}))
    assert pending() == []


def record_of(registry: Bus, id_: str) -> dict[str, Any]:
    entry = registry.get(WEBHOOKS, id_)
    assert entry is not None
    record: dict[str, Any] = json.loads(entry.value or b"")
    return record


def test_the_first_failure_is_remembered_until_an_attempt_succeeds(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver
) -> None:
    put_webhook(registry, "w1", receiver((500, {}), (500, {}), (200, {})).url)
    attempt(notify)
    first = record_of(registry, "w1")
    assert first["failing_since"]
    attempt(notify, 2)
    assert record_of(registry, "w1") == first
    attempt(notify, 3)
    assert record_of(registry, "w1")["failing_since"] == ""
    assert record_of(registry, "w1")["active"]


def test_an_unreachable_receiver_counts_as_failing(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver
) -> None:
    closed = receiver()
    closed.close()
    put_webhook(registry, "w1", closed.url)
    attempt(notify)
    assert record_of(registry, "w1")["failing_since"]


def test_a_webhook_that_fails_for_days_is_deactivated_with_the_reason(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver
) -> None:
    hook = receiver((500, {}))
    since = "2026-01-01T00:00:00.000Z"
    put_webhook(registry, "w1", hook.url, failing_since=since)
    assert attempt(notify).status_code == 503
    record = record_of(registry, "w1")
    assert not record["active"]
    assert record["inactive_reason"] == f"every attempt since {since} has failed"
    assert attempt(notify, 2).status_code == 204
    assert len(hook.requests) == 1


def test_a_webhook_that_fails_for_less_than_the_setting_stays_active(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver
) -> None:
    since = (datetime.now(UTC) - timedelta(days=4)).isoformat()
    put_webhook(registry, "w1", receiver((500, {})).url, failing_since=since)
    attempt(notify)
    assert record_of(registry, "w1")["active"]


def test_an_absurd_retry_after_of_a_success_is_ignored(
    notify: FlaskClient, registry: Bus, receiver: StartReceiver
) -> None:
    absurd = "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"
    put_webhook(registry, "w1", receiver((200, {"Retry-After": absurd})).url)
    assert attempt(notify).status_code == 204


@pytest.mark.parametrize("target", ["removed", "callback.removed"])
def test_a_delivery_to_a_removed_target_is_dropped(target: str, notify: FlaskClient) -> None:
    assert attempt(notify, target=target).status_code == 204


@pytest.mark.parametrize("target", ["w1", "callback.c1"])
def test_a_record_that_cannot_be_read_makes_its_delivery_undeliverable(
    target: str, notify: FlaskClient, registry: Bus
) -> None:
    registry.put(WEBHOOKS, target, b'{"secret": "whsec_"}')
    response = attempt(notify, target=target)
    assert response.status_code == 422
    assert problem_type(response) == "urn:micro-demucs:problem:undeliverable"
    assert target in response.get_json()["detail"]


def test_a_private_address_is_refused_unless_the_setting_allows_it(
    notify: FlaskClient,
    registry: Bus,
    receiver: StartReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WEBHOOK_ALLOW_PRIVATE")
    hook = receiver()
    put_webhook(registry, "w1", hook.url)
    response = attempt(notify)
    assert response.status_code == 422
    assert problem_type(response) == "urn:micro-demucs:problem:webhook-refused"
    assert "127.0.0.1 has the address 127.0.0.1" in response.get_json()["detail"]
    assert hook.requests == []
