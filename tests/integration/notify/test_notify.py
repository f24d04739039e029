"""The function in this process, with a real store, a real bus and real receivers."""

import hashlib
import json
from datetime import UTC, datetime

import pytest
import urllib3
from cloudevents.http import CloudEvent
from standardwebhooks import Webhook, WebhookVerificationError

from microdemucs.bus import WEBHOOKS
from microdemucs.events import COMPLETED, FAILED, STARTED, ObjectCreated, notification
from microdemucs.problems import now
from microdemucs.store import write_json
from testing.stack import wait_until
from tests.integration.notify.events import CALLBACK_SECRET, SECRET, delivery, due, register, send
from tests.unit.notify.documents import BEGUN, FAILURE, MANIFEST

KEY = MANIFEST["song"]["key"]


def created(key: str, bucket: str = "stems", action: str = "Put") -> CloudEvent:
    record = json.loads(notification(ObjectCreated(bucket, key, 1, "etag"), "r1"))["Records"][0]
    return CloudEvent(
        {"type": f"com.amazonaws.s3.ObjectCreated:{action}", "source": "minio:s3..stems"}, record
    )


@pytest.fixture
def job(request):
    """An id for each test: the bus takes the same news only once."""
    return hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:32]


@pytest.fixture
def manifest(stems, job):
    """Write a manifest and a stem that it names, and take them away again."""
    keys = [f"{KEY}/drums.flac", f"{KEY}/manifest.json", f"{KEY}/failure.json"]

    def write(name: str = "manifest.json", document: dict = MANIFEST) -> CloudEvent:
        write_json(stems, "stems", keys[0], {"not": "audio"}, "audio/flac")
        write_json(stems, "stems", f"{KEY}/{name}", document | {"job": job}, "application/json")
        return created(f"{KEY}/{name}")

    yield write
    for key in keys:
        stems.remove_object("stems", key)


def test_a_manifest_becomes_one_message_for_each_webhook_that_wants_it(
    notify, registry, pending, manifest, job
):
    register(registry, "w1", "http://127.0.0.1:1/")
    register(registry, "w2", "http://127.0.0.1:1/", COMPLETED)
    register(registry, "w3", "http://127.0.0.1:1/", FAILED)
    register(registry, "w4", "http://127.0.0.1:1/", active=False)
    register(registry, "gone", "http://127.0.0.1:1/")
    registry.delete(WEBHOOKS, "gone")
    answer = send(notify, manifest())
    assert (answer.status_code, answer.data) == (204, b"")
    waiting = pending()
    assert sorted(one["target"] for one in waiting) == ["w1", "w2"]
    assert {(one["job"], one["trace"]) for one in waiting} == {(job, "t" * 32)}
    body = json.loads(waiting[0]["body"])
    assert (body["type"], body["subject"]) == (COMPLETED, KEY)
    assert body["source"] == "https://separation.example"
    assert (body["id"], body["time"]) == (waiting[0]["delivery"], MANIFEST["finished"])


def test_a_link_in_the_message_opens_the_stem_and_holds_as_long_as_set(
    notify, registry, pending, manifest, monkeypatch
):
    monkeypatch.setenv("LINK_HOURS", "2")
    register(registry, "w1", "http://127.0.0.1:1/")
    send(notify, manifest())
    (stem,) = json.loads(pending()[0]["body"])["data"]["stems"]
    assert "X-Amz-Expires=7200&" in stem["url"]
    answer = urllib3.request("GET", stem["url"])
    assert (answer.status, answer.json()) == (200, {"not": "audio"})


def test_the_same_manifest_told_twice_waits_once(notify, registry, pending, manifest):
    register(registry, "w1", "http://127.0.0.1:1/")
    event = manifest()
    send(notify, event)
    send(notify, event)
    assert len(pending()) == 1


def test_a_failure_goes_to_those_who_want_failures(notify, registry, pending, manifest):
    register(registry, "w1", "http://127.0.0.1:1/", COMPLETED)
    register(registry, "w2", "http://127.0.0.1:1/", FAILED)
    send(notify, manifest("failure.json", FAILURE))
    (one,) = pending()
    body = json.loads(one["body"])
    assert (one["target"], body["type"]) == ("w2", FAILED)
    assert body["data"]["problem"]["option"] == "format"


def test_a_started_job_goes_to_those_who_want_that(notify, registry, pending, job):
    register(registry, "w1", "http://127.0.0.1:1/", STARTED)
    register(registry, "w2", "http://127.0.0.1:1/", COMPLETED)
    event = CloudEvent({"type": STARTED, "source": "s"}, BEGUN | {"job": job})
    assert send(notify, event).status_code == 204
    assert [one["target"] for one in pending()] == ["w1"]


def test_a_job_s_own_callback_gets_its_data_back(notify, registry, pending, manifest, receiver):
    listening = receiver()
    record = {"url": listening.url, "data": {"mine": [1]}, "created": "2026"}
    registry.put(WEBHOOKS, "callback.c1", json.dumps(record).encode())
    send(notify, manifest(document=MANIFEST | {"callback": "c1"}))
    (one,) = pending()
    assert send(notify, due(one)).status_code == 204
    _, headers, body = listening.got[0]
    said = Webhook(CALLBACK_SECRET).verify(body, headers)
    assert said["data"]["callback"] == {"mine": [1]}


@pytest.mark.parametrize(
    "event",
    [
        created(f"{KEY}/manifest.json"),  # gone again
        created(f"{KEY}/drums.mp3"),
        created("manifest.json.mp3/drums.mp3"),
        created(f"{KEY}/manifest.json", bucket="songs"),
        CloudEvent({"type": "com.amazonaws.s3.ObjectRemoved:Delete", "source": "s"}, {}),
        CloudEvent({"type": "com.example.other", "source": "s"}, "text"),
        CloudEvent({"type": "com.example.other", "source": "s"}),
    ],
)
def test_what_is_no_news_is_ignored(event, notify, registry, pending):
    register(registry, "w1", "http://127.0.0.1:1/")
    assert send(notify, event).status_code == 204
    assert pending() == []


@pytest.mark.parametrize(
    "event",
    [
        CloudEvent({"type": "dev.microdemucs.delivery", "source": "s", "attempt": "1"}, {"a": 1}),
        CloudEvent({"type": "dev.microdemucs.delivery", "source": "s"}, delivery()),
        CloudEvent({"type": STARTED, "source": "s"}, {"job": "j"}),
        CloudEvent({"type": "com.amazonaws.s3.ObjectCreated:Put", "source": "s"}, {"s3": 1}),
    ],
)
def test_an_event_that_cannot_be_read_is_refused_for_good(event, notify):
    answer = send(notify, event)
    assert answer.status_code == 400
    assert answer.json["type"] == "urn:micro-demucs:problem:bad-event"


def test_a_delivery_is_posted_signed_with_the_secret_of_this_moment(notify, registry, receiver):
    listening = receiver()
    register(registry, "w1", listening.url)
    assert send(notify, due(delivery())).status_code == 204
    new = "whsec_" + "bmV3LXNlY3JldC1hZnRlci1hLXJvdGF0aW9uISE="
    register(registry, "w1", listening.url, secret=new)
    assert send(notify, due(delivery(), attempt=2)).status_code == 204
    (path, first, body), (_, second, _) = listening.got
    assert path == "/hook?key=in-the-query"
    assert body == '{"ü": 1}'.encode()
    assert first["Content-Type"] == "application/json"
    assert first["webhook-id"] == second["webhook-id"] == "msg_1"
    assert abs(int(first["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 60
    assert Webhook(SECRET).verify(body, first) == {"ü": 1}
    assert Webhook(new).verify(body, second) == {"ü": 1}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body, second)


@pytest.mark.parametrize("status", [301, 400, 401, 404, 429, 500, 503])
def test_an_answer_that_is_no_success_is_tried_again_when_the_schedule_says(
    status, notify, registry, receiver
):
    register(registry, "w1", receiver((status, {}), (status, {})).url)
    answer = send(notify, due(delivery()))
    assert answer.status_code == 503
    assert 10 <= int(answer.headers["Retry-After"]) <= 11
    answer = send(notify, due(delivery(), attempt=2))
    assert 600 <= int(answer.headers["Retry-After"]) <= 660


def test_deliveries_that_never_reached_us_are_no_attempts(notify, registry, receiver):
    register(registry, "w1", receiver((500, {})).url)
    answer = send(notify, due(delivery() | {"created": now()}, attempt=99))
    assert 10 <= int(answer.headers["Retry-After"]) <= 11


def test_past_the_schedule_the_delivery_is_given_up(notify, registry, receiver):
    register(registry, "w1", receiver((500, {})).url)
    answer = send(notify, due(delivery(), attempt=3))
    assert answer.status_code == 422
    assert answer.json["type"] == "urn:micro-demucs:problem:undeliverable"
    assert answer.json["detail"] == "3 attempts, the last: it answered 500"


@pytest.mark.parametrize(
    ("status", "asked", "waited"),
    [(429, "120", 120), (503, "120", 120), (503, "1", 10), (500, "120", 10), (503, "9" * 9, 86400)],
)
def test_a_busy_receiver_may_ask_for_more_time(status, asked, waited, notify, registry, receiver):
    register(registry, "w1", receiver((status, {"Retry-After": asked})).url)
    answer = send(notify, due(delivery()))
    assert waited <= int(answer.headers["Retry-After"]) <= waited * 1.1


def test_a_receiver_that_is_away_gets_it_once_it_is_back(notify, registry, receiver):
    gone = receiver()
    gone.close()
    register(registry, "w1", gone.url)
    assert send(notify, due(delivery())).status_code == 503
    back = receiver()
    register(registry, "w1", back.url)
    assert send(notify, due(delivery(), attempt=2)).status_code == 204
    assert back.got[0][1]["webhook-id"] == "msg_1"


def test_410_switches_the_webhook_off_and_it_hears_no_more(
    notify, registry, pending, receiver, job
):
    listening = receiver((410, {}))
    record = register(registry, "w1", listening.url)
    assert send(notify, due(delivery())).status_code == 204
    held = json.loads(registry.get(WEBHOOKS, "w1").value)
    assert held.pop("updated")
    assert held == record | {"active": False}
    assert send(notify, due(delivery(), attempt=2)).status_code == 204
    assert len(listening.got) == 1
    send(notify, CloudEvent({"type": STARTED, "source": "s"}, BEGUN | {"job": job}))
    assert pending() == []


@pytest.mark.parametrize("target", ["gone", "callback.gone"])
def test_a_webhook_removed_meanwhile_is_done(target, notify):
    assert send(notify, due(delivery(target))).status_code == 204


def test_without_leave_a_private_address_is_refused_for_good(
    notify, registry, receiver, monkeypatch
):
    monkeypatch.delenv("WEBHOOK_ALLOW_PRIVATE")
    listening = receiver()
    register(registry, "w1", listening.url)
    answer = send(notify, due(delivery()))
    assert answer.status_code == 422
    assert answer.json["type"] == "urn:micro-demucs:problem:webhook-refused"
    assert listening.got == []


def test_it_is_ready_once_the_bus_is_there(notify):
    wait_until(lambda: notify.get("/readyz").status_code == 200)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CALLBACK_SECRET", ""),
        ("CALLBACK_SECRET", "whsec_c2hvcnQ="),
        ("CALLBACK_SECRET", CALLBACK_SECRET.removeprefix("whsec_")),
        ("WEBHOOK_RETRY_SECONDS", "5,soon"),
        ("WEBHOOK_RETRY_SECONDS", "-5"),
        ("LINK_HOURS", "169"),
        ("LINK_HOURS", "0"),
        ("LINK_HOURS", "long"),
        ("PUBLIC_URL", "here"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_and_nothing_is_lost(
    name, value, notify, monkeypatch
):
    with monkeypatch.context() as wrong:
        wrong.setenv(name, value)
        answer = notify.get("/readyz")
        assert answer.status_code == 503
        assert answer.json["detail"].startswith(name)
        assert "whsec_c2" not in answer.text
        assert send(notify, due(delivery())).status_code == 503
    assert notify.get("/readyz").status_code == 200
