"""Which webhook receives which event, and the delays between attempts."""

import json
from typing import Any

import pytest

from functions.notify.deliveries import (
    SCHEDULE,
    JobEvent,
    completed_event,
    deliveries_for,
    failed_event,
    next_delay,
    started_event,
)
from microdemucs.events import COMPLETED, FAILED, STARTED
from microdemucs.manifest import Failure, Manifest
from microdemucs.messages import Delivery, Started
from microdemucs.webhooks import CallbackRecord, WebhookRecord
from tests.unit.notify.documents import FAILURE, MANIFEST, SONG, STARTED_MESSAGE

OLD = 10**9  # seconds: so old that any number of attempts is plausible


def link(key: str) -> str:
    return f"https://store.example/{key}?signed"


def completed(**members: Any) -> JobEvent:
    document = json.dumps(MANIFEST | members).encode()
    return completed_event(Manifest.read(document), link)


def failed(**members: Any) -> JobEvent:
    return failed_event(Failure.read(json.dumps(FAILURE | members).encode()))


def started() -> JobEvent:
    return started_event(Started.from_data(STARTED_MESSAGE))


def webhook(id_: str, *events: str, active: bool = True) -> WebhookRecord:
    return WebhookRecord(
        id=id_, url="https://x.example/", events=[*events], active=active, secret="whsec_"
    )


def deliveries(
    event: JobEvent, *webhooks: WebhookRecord, callback: CallbackRecord | None = None
) -> list[Delivery]:
    return list(deliveries_for(event, webhooks, callback, "https://source.example", "2026"))


@pytest.mark.parametrize(
    ("event", "targets"),
    [
        (started(), ["all", "only-started"]),
        (completed(), ["all", "only-completed"]),
        (failed(), ["all"]),
    ],
    ids=["started", "completed", "failed"],
)
def test_an_active_webhook_receives_the_event_types_it_lists(
    event: JobEvent, targets: list[str]
) -> None:
    found = deliveries(
        event,
        webhook("all", STARTED, COMPLETED, FAILED),
        webhook("only-started", STARTED),
        webhook("only-completed", COMPLETED),
        webhook("inactive", STARTED, COMPLETED, FAILED, active=False),
    )
    assert [delivery.target for delivery in found] == targets


def test_the_payload_of_completed_is_a_json_cloudevent_with_links_to_the_stems() -> None:
    (delivery,) = deliveries(completed(), webhook("w1", COMPLETED))
    assert json.loads(delivery.body) == {
        "specversion": "1.0",
        "id": delivery.delivery,
        "source": "https://source.example",
        "type": "dev.microdemucs.separation.completed",
        "subject": "dir/a b+ü.mp3",
        "time": "2026-03-01T12:00:09.000Z",
        "datacontenttype": "application/json",
        "data": {
            "job": "j" * 32,
            "song": MANIFEST["song"],
            "options": {"format": "flac"},
            "model": {"name": "htdemucs_tiny", "note": "limited quality"},
            "timings": {"separating": 8.0},
            "warnings": [],
            "stems": [
                {
                    "name": "drums",
                    "key": "dir/a b+ü.mp3/drums.flac",
                    "size": 3,
                    "content_type": "audio/flac",
                    "url": "https://store.example/dir/a b+ü.mp3/drums.flac?signed",
                }
            ],
        },
    }


def test_the_payload_of_failed_holds_the_problem_without_members_about_the_job() -> None:
    (delivery,) = deliveries(failed(), webhook("w1", FAILED))
    data = json.loads(delivery.body)["data"]
    assert data["problem"] == {
        name: FAILURE[name] for name in ("type", "title", "status", "detail", "option")
    }
    assert data["options"] == {"format": "mp4"}


def test_the_payload_of_started_holds_what_is_known_by_then() -> None:
    (delivery,) = deliveries(started(), webhook("w1", STARTED))
    body = json.loads(delivery.body)
    assert body["time"] == "2026-03-01T12:00:01.000Z"
    assert body["data"] == {
        "job": "j" * 32,
        "song": SONG,
        "options": {},
        "model": {"name": "htdemucs_tiny"},
    }


def test_only_the_callback_receives_its_own_data() -> None:
    to_webhook, to_callback = deliveries(
        completed(callback="c" * 32),
        webhook("w1", COMPLETED),
        callback=CallbackRecord(url="https://x.example", data=[1, "two"]),
    )
    assert to_callback.target == "callback." + "c" * 32
    assert json.loads(to_callback.body)["data"]["callback"] == [1, "two"]
    assert "callback" not in json.loads(to_webhook.body)["data"]


def test_a_callback_has_one_delivery_however_often_its_job_ends() -> None:
    callback = CallbackRecord(url="https://x.example")
    first, again = (
        deliveries(completed(callback="c" * 32, finished=finished), callback=callback)[0].delivery
        for finished in ("2026-03-01T12:00:09.000Z", "2026-03-01T13:00:00.000Z")
    )
    assert first == again


def test_a_callback_has_a_delivery_for_each_outcome() -> None:
    callback = CallbackRecord(url="https://x.example")
    of_done, of_failed = (
        deliveries(event, callback=callback)[0].delivery
        for event in (completed(job="j", callback="c" * 32), failed(job="j", callback="c" * 32))
    )
    assert of_done != of_failed


def test_a_delivery_names_its_job_and_trace() -> None:
    (delivery,) = deliveries(completed(), webhook("w1", COMPLETED))
    assert (delivery.job, delivery.trace, delivery.created) == ("j" * 32, "t" * 32, "2026")


def delivery_ids(**members: Any) -> list[str]:
    found = deliveries(completed(**members), webhook("w1", COMPLETED), webhook("w2", COMPLETED))
    return [delivery.delivery for delivery in found]


def test_a_delivery_id_is_msg_and_32_hex_digits() -> None:
    assert all(id_.startswith("msg_") and len(id_) == 36 for id_ in delivery_ids())
    assert all(int(id_.removeprefix("msg_"), 16) for id_ in delivery_ids())


def test_the_same_event_gives_the_same_delivery_ids() -> None:
    assert delivery_ids() == delivery_ids()


def test_another_target_time_or_job_gives_another_delivery_id() -> None:
    ids = [*delivery_ids(), *delivery_ids(finished="later"), *delivery_ids(job="k")]
    assert len(set(ids)) == 6


def test_the_delays_are_those_of_standard_webhooks_and_at_most_a_tenth_more() -> None:
    delays = [next_delay("msg_1", attempt, OLD, SCHEDULE) for attempt in range(1, 10)]
    for delay, scheduled in zip(delays, SCHEDULE, strict=True):
        assert delay is not None
        assert scheduled <= delay <= 1.1 * scheduled
    assert sum(SCHEDULE) == 75 * 3600 + 35 * 60 + 5


def test_no_attempt_follows_the_tenth() -> None:
    assert next_delay("msg_1", 10, OLD, SCHEDULE) is None


def test_deliveries_that_failed_together_have_different_delays() -> None:
    delays = [next_delay(f"msg_{number}", 2, OLD, SCHEDULE) for number in range(20)]
    assert len(set(delays)) > 10


def test_the_same_attempt_always_has_the_same_delay() -> None:
    assert next_delay("msg_1", 2, OLD, SCHEDULE) == next_delay("msg_1", 2, OLD, SCHEDULE)


@pytest.mark.parametrize(("retry_after", "expected"), [(0, 10), (3, 10), (600, 600)])
def test_retry_after_can_only_lengthen_the_delay(retry_after: float, expected: float) -> None:
    delay = next_delay("msg_1", 1, OLD, [10], retry_after)
    assert delay is not None
    assert expected <= delay <= 1.1 * expected


@pytest.mark.parametrize(
    ("age", "expected"), [(0, 5), (4, 5), (60, 300), (400, 1800), (75 * 3600, 86400)]
)
def test_requests_that_never_reached_notify_do_not_use_up_the_schedule(
    age: float, expected: float
) -> None:
    delay = next_delay("msg_1", 99, age, SCHEDULE)
    assert delay is not None
    assert expected <= delay <= 1.1 * expected


def test_a_delivery_older_than_the_schedule_is_not_repeated() -> None:
    assert next_delay("msg_1", 99, 100 * 3600, SCHEDULE) is None
