"""From a job's event to the deliveries on the bus, with a real store and a real bus."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import urllib3
from cloudevents.http import CloudEvent
from flask.testing import FlaskClient

from microdemucs.bucket import Bucket
from microdemucs.bus import WEBHOOKS, Bus
from microdemucs.events import COMPLETED, FAILED, FINISHED, STARTED
from testing.waiting import wait_until
from tests.integration.notify.events import (
    delivery_due,
    delivery_message,
    job_started,
    object_created,
    post_event,
    put_webhook,
)
from tests.integration.notify.webhook_receiver import Pending
from tests.unit.notify.documents import FAILURE, MANIFEST, STARTED_MESSAGE

KEY = MANIFEST["song"]["key"]
CALLBACK, OTHER_CALLBACK = "c1" * 16, "c2" * 16
NOWHERE = "http://127.0.0.1:1/"

Written = Callable[..., CloudEvent]


@pytest.fixture
def written(stems: Bucket, job: str) -> Iterator[Written]:
    """Write a result document and the stem that it names; return the document's event."""
    stem, manifest, failure = (
        f"{KEY}/{name}" for name in ("drums.flac", "manifest.json", "failure.json")
    )

    def write(name: str = "manifest.json", document: Any = MANIFEST) -> CloudEvent:
        if isinstance(document, dict):
            document = json.dumps(document | {"job": job}).encode()
        stems.write(stem, b"the stem", "audio/flac")
        stems.write(f"{KEY}/{name}", document, "application/json")
        return object_created(f"{KEY}/{name}")

    yield write
    for key in (stem, manifest, failure):
        stems.remove(key)


def test_a_manifest_becomes_a_delivery_to_each_active_webhook_for_completed(
    notify: FlaskClient, registry: Bus, pending: Pending, written: Written, job: str
) -> None:
    put_webhook(registry, "w1", NOWHERE)
    put_webhook(registry, "w2", NOWHERE, COMPLETED)
    put_webhook(registry, "w3", NOWHERE, FAILED)
    put_webhook(registry, "w4", NOWHERE, active=False)
    response = post_event(notify, written())
    assert (response.status_code, response.data) == (204, b"")
    deliveries = pending()
    assert sorted(delivery["target"] for delivery in deliveries) == ["w1", "w2"]
    assert {(delivery["job"], delivery["trace"]) for delivery in deliveries} == {(job, "t" * 32)}
    body = json.loads(deliveries[0]["body"])
    assert (body["type"], body["subject"]) == (COMPLETED, KEY)
    assert body["source"] == "https://separation.example"
    assert (body["id"], body["time"]) == (deliveries[0]["delivery"], MANIFEST["finished"])


def test_a_removed_webhook_gets_no_delivery(
    notify: FlaskClient, registry: Bus, pending: Pending, written: Written
) -> None:
    put_webhook(registry, "removed", NOWHERE)
    registry.remove(WEBHOOKS, "removed")
    post_event(notify, written())
    assert pending() == []


def test_the_deliveries_of_webhooks_at_one_receiver_share_a_token_of_their_subjects(
    notify: FlaskClient, registry: Bus, pending: Pending, written: Written
) -> None:
    put_webhook(registry, "w1", "https://X.example/one?key=1")
    put_webhook(registry, "w2", "https://x.example:443/two")
    put_webhook(registry, "w3", "https://x.example:444/two")
    post_event(notify, written())
    receivers = {delivery["target"]: delivery["receiver"] for delivery in pending()}
    assert receivers == {
        "w1": "https://x.example",
        "w2": "https://x.example",
        "w3": "https://x.example:444",
    }


def test_a_webhook_gets_the_next_event_after_its_registration(
    notify: FlaskClient, registry: Bus, pending: Pending, written: Written
) -> None:
    event = written()
    for number in range(1, 6):
        put_webhook(registry, f"w{number}", NOWHERE)
        post_event(notify, event)
        assert [delivery["target"] for delivery in pending()] == [f"w{number}"]


def test_a_link_in_the_payload_opens_the_stem_for_as_long_as_set(
    notify: FlaskClient,
    registry: Bus,
    pending: Pending,
    written: Written,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LINK_HOURS", "2")
    put_webhook(registry, "w1", NOWHERE)
    post_event(notify, written())
    (stem,) = json.loads(pending()[0]["body"])["data"]["stems"]
    assert "X-Amz-Expires=7200&" in stem["url"]
    response = urllib3.request("GET", stem["url"])
    assert (response.status, response.data) == (200, b"the stem")


def test_the_same_manifest_event_twice_makes_one_delivery(
    notify: FlaskClient, registry: Bus, pending: Pending, written: Written
) -> None:
    put_webhook(registry, "w1", NOWHERE)
    event = written()
    post_event(notify, event)
    post_event(notify, event)
    assert len(pending()) == 1


def test_a_failure_becomes_a_delivery_to_the_webhooks_for_failed(
    notify: FlaskClient, registry: Bus, pending: Pending, written: Written
) -> None:
    put_webhook(registry, "w1", NOWHERE, COMPLETED)
    put_webhook(registry, "w2", NOWHERE, FAILED)
    post_event(notify, written("failure.json", FAILURE))
    (delivery,) = pending()
    body = json.loads(delivery["body"])
    assert (delivery["target"], body["type"]) == ("w2", FAILED)
    assert body["data"]["problem"]["option"] == "format"


def test_a_started_job_becomes_a_delivery_to_the_webhooks_for_started(
    notify: FlaskClient, registry: Bus, pending: Pending, job: str
) -> None:
    put_webhook(registry, "w1", NOWHERE, STARTED)
    put_webhook(registry, "w2", NOWHERE, COMPLETED)
    event = job_started(STARTED_MESSAGE | {"job": job})
    assert post_event(notify, event).status_code == 204
    assert [delivery["target"] for delivery in pending()] == ["w1"]


def put_callback(registry: Bus, id_: str = CALLBACK, song: str = KEY) -> None:
    record = {"url": NOWHERE, "data": {"mine": id_}, "created": "2026", "song": song}
    registry.put(WEBHOOKS, f"callback.{id_}", json.dumps(record).encode())


def finished(
    job: str,
    callback: str = CALLBACK,
    document: dict[str, Any] = MANIFEST,
    name: str = "manifest.json",
) -> CloudEvent:
    """The event of a finished job, for one callback."""
    message = {
        "job": job,
        "callback": callback,
        "key": f"{KEY}/{name}",
        "document": json.dumps(document | {"job": job}),
    }
    return CloudEvent({"type": FINISHED, "source": "separate"}, message)


def test_the_payload_of_a_callback_holds_its_data(
    notify: FlaskClient, registry: Bus, pending: Pending, job: str
) -> None:
    put_callback(registry)
    put_webhook(registry, "w1", NOWHERE)
    assert post_event(notify, finished(job)).status_code == 204
    (delivery,) = pending()
    assert delivery["target"] == f"callback.{CALLBACK}"
    body = json.loads(delivery["body"])
    assert (body["type"], body["data"]["callback"]) == (COMPLETED, {"mine": CALLBACK})
    assert "X-Amz-Signature" in body["data"]["stems"][0]["url"]


def test_each_callback_of_one_job_is_called_once_with_its_own_data(
    notify: FlaskClient, registry: Bus, pending: Pending, job: str
) -> None:
    for id_ in (CALLBACK, OTHER_CALLBACK):
        put_callback(registry, id_)
    for callback in (CALLBACK, OTHER_CALLBACK, CALLBACK):
        post_event(notify, finished(job, callback, FAILURE, "failure.json"))
    bodies = [json.loads(delivery["body"]) for delivery in pending()]
    assert [body["type"] for body in bodies] == [FAILED, FAILED]
    assert [body["data"]["callback"]["mine"] for body in bodies] == [CALLBACK, OTHER_CALLBACK]


def test_without_a_callback_a_finished_job_is_for_all_webhooks(
    notify: FlaskClient, registry: Bus, pending: Pending, job: str
) -> None:
    put_callback(registry)
    put_webhook(registry, "w1", NOWHERE)
    event = finished(job, "", FAILURE, "failure.json")
    for _ in range(2):
        assert post_event(notify, event).status_code == 204
    (delivery,) = pending()
    assert delivery["target"] == "w1"
    assert json.loads(delivery["body"])["type"] == FAILED


def test_a_callback_whose_failed_job_is_done_after_all_gets_both(
    notify: FlaskClient, registry: Bus, pending: Pending, job: str
) -> None:
    put_callback(registry)
    post_event(notify, finished(job, CALLBACK, FAILURE, "failure.json"))
    post_event(notify, finished(job))
    deliveries = pending()
    assert [json.loads(delivery["body"])["type"] for delivery in deliveries] == [FAILED, COMPLETED]
    assert deliveries[0]["delivery"] != deliveries[1]["delivery"]


def test_a_callback_gets_no_events_of_other_jobs(
    notify: FlaskClient, registry: Bus, pending: Pending, written: Written
) -> None:
    put_callback(registry)
    post_event(notify, written())
    assert pending() == []


@pytest.mark.parametrize("song", ["another song.mp3", ""])
def test_a_callback_is_not_called_for_another_song(
    notify: FlaskClient, registry: Bus, pending: Pending, job: str, song: str
) -> None:
    put_callback(registry, song=song)
    assert post_event(notify, finished(job)).status_code == 204
    assert pending() == []


@pytest.mark.parametrize("id_", ["https://a.example/hook", "*", ">", "a b", "a.b.", "..", "a\n"])
def test_what_is_no_callback_is_ignored_and_webhooks_receive_the_result(
    notify: FlaskClient, registry: Bus, pending: Pending, written: Written, job: str, id_: str
) -> None:
    put_webhook(registry, "w1", NOWHERE)
    assert post_event(notify, finished(job, id_)).status_code == 204
    assert post_event(notify, written(document=MANIFEST | {"callback": id_})).status_code == 204
    assert [delivery["target"] for delivery in pending()] == ["w1"]


def test_the_document_of_a_finished_job_is_checked(
    notify: FlaskClient, registry: Bus, pending: Pending, job: str
) -> None:
    put_callback(registry)
    stem = MANIFEST["stems"][0] | {"key": "another song.mp3/drums.flac"}
    response = post_event(notify, finished(job, document=MANIFEST | {"stems": [stem]}))
    assert (response.status_code, pending()) == (400, [])


@pytest.mark.parametrize("record", [b"not json", b"[]", b'{"id": "w1"}'])
def test_a_webhook_record_that_cannot_be_read_does_not_stop_the_others(
    record: bytes, notify: FlaskClient, registry: Bus, pending: Pending, written: Written
) -> None:
    registry.put(WEBHOOKS, "w1", record)
    registry.put(WEBHOOKS, f"callback.{CALLBACK}", record)
    put_webhook(registry, "w2", NOWHERE)
    event = written(document=MANIFEST | {"callback": CALLBACK})
    assert post_event(notify, event).status_code == 204
    assert [delivery["target"] for delivery in pending()] == ["w2"]


@pytest.mark.parametrize(
    "event",
    [
        object_created(f"{KEY}/manifest.json"),
        object_created(f"{KEY}/drums.mp3"),
        object_created("manifest.json.mp3/drums.mp3"),
        object_created(f"{KEY}/manifest.json", bucket="songs"),
        CloudEvent({"type": "com.amazonaws.s3.ObjectRemoved:Delete", "source": "s"}, {}),
        CloudEvent({"type": "com.example.other", "source": "s"}, "text"),
        CloudEvent({"type": "com.example.other", "source": "s"}),
    ],
    ids=[
        *("manifest removed since", "stem", "manifest as folder", "other bucket"),
        *("object removed", "other type with data", "other type without data"),
    ],
)
def test_other_events_are_ignored(
    event: CloudEvent, notify: FlaskClient, registry: Bus, pending: Pending
) -> None:
    put_webhook(registry, "w1", NOWHERE)
    assert post_event(notify, event).status_code == 204
    assert pending() == []


DELIVERY_TYPE = {"type": "dev.microdemucs.delivery", "source": "s"}


@pytest.mark.parametrize(
    "event",
    [
        CloudEvent(DELIVERY_TYPE | {"attempt": "1"}, {"a": 1}),
        CloudEvent(DELIVERY_TYPE | {"attempt": "1"}, [delivery_message()]),
        CloudEvent(DELIVERY_TYPE | {"attempt": "1"}),
        CloudEvent(DELIVERY_TYPE | {"attempt": "1"}, delivery_message(job=7)),
        CloudEvent(DELIVERY_TYPE | {"attempt": "first"}, delivery_message()),
        CloudEvent(DELIVERY_TYPE, delivery_message()),
        job_started({"job": "j"}),
        job_started(STARTED_MESSAGE | {"song": "songs/a.mp3"}),
        job_started(STARTED_MESSAGE | {"job": "\ud800"}),
        CloudEvent({"type": "com.amazonaws.s3.ObjectCreated:Put", "source": "s"}, {"s3": 1}),
        CloudEvent({"type": "com.amazonaws.s3.ObjectCreated:Put", "source": "s"}),
    ],
    ids=[
        *("delivery without members", "delivery as list", "delivery without data"),
        *("delivery with a wrong type", "attempt not a number", "attempt missing"),
        *("started without members", "started with a wrong type", "started with a surrogate"),
        *("record without members", "record missing"),
    ],
)
def test_an_event_that_cannot_be_read_is_a_bad_event(
    event: CloudEvent, notify: FlaskClient, registry: Bus
) -> None:
    put_webhook(registry, "w1", NOWHERE)
    response = post_event(notify, event)
    assert response.status_code == 400
    assert response.get_json()["type"] == "urn:micro-demucs:problem:bad-event"


@pytest.mark.parametrize("name", ["manifest.json", "failure.json"])
@pytest.mark.parametrize(
    "document",
    [
        *(b"", b"not json", b"[]", b"{}", b"\xff", b" " * 2_000_000),
        *(b"[" * 100_000, b'{"type":' + b"[" * 900 + b"]" * 900 + b"}"),
    ],
    ids=["empty", "text", "list", "no members", "not UTF-8", "huge", "endless", "deep"],
)
def test_a_result_document_that_cannot_be_read_is_a_bad_event(
    name: str, document: bytes, notify: FlaskClient, written: Written
) -> None:
    response = post_event(notify, written(name, document))
    assert response.status_code == 400
    problem = response.get_json()
    assert problem["type"] == "urn:micro-demucs:problem:bad-event"
    assert problem["detail"].startswith(f"{KEY}/{name}: ")


def test_a_bad_event_names_the_member_that_is_wrong(notify: FlaskClient, written: Written) -> None:
    response = post_event(notify, written(document=MANIFEST | {"stems": [{"name": 7}]}))
    assert response.get_json()["detail"].endswith(
        "Expected `str`, got `int` - at `$.stems[0].name`"
    )


def test_it_is_ready_once_the_bus_is_connected(notify: FlaskClient) -> None:
    wait_until(lambda: notify.get("/readyz").status_code == 200)


def test_with_a_bad_setting_every_event_is_retried_until_it_is_corrected(
    notify: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as bad:
        bad.setenv("CALLBACK_SECRET", "whsec_c2hvcnQ=")
        response = notify.get("/readyz")
        assert response.status_code == 503
        assert response.get_json()["detail"].startswith("CALLBACK_SECRET")
        assert "c2hvcnQ" not in response.text
        assert post_event(notify, delivery_due(delivery_message())).status_code == 503
    wait_until(lambda: notify.get("/readyz").status_code == 200)
