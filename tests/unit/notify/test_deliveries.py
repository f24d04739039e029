"""Who is told what, and when again: tables, without a network."""

import json

import pytest

from functions.notify import deliveries
from functions.notify.deliveries import SCHEDULE, Delivery, deliveries_for, wait
from microdemucs.events import COMPLETED, FAILED, STARTED
from tests.unit.notify.documents import BEGUN, FAILURE, MANIFEST, SONG

LATE = 10**9  # s: old enough for any attempt


def link(key: str) -> str:
    return f"https://store.example/{key}?signed"


def webhook(id_: str, *events: str, active: bool = True) -> dict:
    return {"id": id_, "url": "https://x.example/", "events": list(events), "active": active}


def told(news, *webhooks, callback=None) -> list[Delivery]:
    return list(deliveries_for(news, webhooks, callback, "https://here.example", "2026"))


@pytest.mark.parametrize(
    ("news", "reached"),
    [
        (deliveries.started(BEGUN), ["all", "only-started"]),
        (deliveries.completed(MANIFEST, link), ["all", "only-completed"]),
        (deliveries.failed(FAILURE), ["all"]),
    ],
    ids=["started", "completed", "failed"],
)
def test_a_webhook_gets_the_types_it_asked_for_and_none_while_switched_off(news, reached):
    found = told(
        news,
        webhook("all", STARTED, COMPLETED, FAILED),
        webhook("only-started", STARTED),
        webhook("only-completed", COMPLETED),
        webhook("off", STARTED, COMPLETED, FAILED, active=False),
    )
    assert [one.target for one in found] == reached


def test_the_message_is_a_cloudevent_in_json_with_links_to_the_stems():
    (delivery,) = told(deliveries.completed(MANIFEST, link), webhook("w1", COMPLETED))
    assert json.loads(delivery.body) == {
        "specversion": "1.0",
        "id": delivery.delivery,
        "source": "https://here.example",
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


def test_a_failure_is_told_as_the_problem_alone():
    (delivery,) = told(deliveries.failed(FAILURE), webhook("w1", FAILED))
    data = json.loads(delivery.body)["data"]
    assert data["problem"] == {
        name: FAILURE[name] for name in ("type", "title", "status", "detail", "option")
    }
    assert data["options"] == {"format": "mp4"}


def test_a_started_job_is_told_with_what_is_known_by_then():
    (delivery,) = told(deliveries.started(BEGUN), webhook("w1", STARTED))
    body = json.loads(delivery.body)
    assert body["time"] == "2026-03-01T12:00:01.000Z"
    assert body["data"] == {
        "job": "j" * 32,
        "song": SONG,
        "options": {},
        "model": {"name": "htdemucs_tiny"},
    }


def test_the_callback_and_nobody_else_gets_its_own_data_back():
    news = deliveries.completed(MANIFEST | {"callback": "c" * 32}, link)
    hook, callback = told(
        news, webhook("w1", COMPLETED), callback={"url": "https://x.example", "data": [1, "two"]}
    )
    assert callback.target == "callback." + "c" * 32
    assert json.loads(callback.body)["data"]["callback"] == [1, "two"]
    assert "callback" not in json.loads(hook.body)["data"]


def test_the_same_news_gives_the_same_ids_and_other_news_others():
    def ids(manifest):
        news = deliveries.completed(manifest, link)
        return [
            one.delivery for one in told(news, webhook("w1", COMPLETED), webhook("w2", COMPLETED))
        ]

    once = ids(MANIFEST)
    assert once == ids(MANIFEST)
    assert len({*once, *ids(MANIFEST | {"finished": "later"}), *ids(MANIFEST | {"job": "k"})}) == 6
    assert all(id_.startswith("msg_") and len(id_) == 36 for id_ in once)


def test_a_delivery_reads_what_it_wrote():
    (delivery,) = told(deliveries.completed(MANIFEST, link), webhook("w1", COMPLETED))
    assert Delivery.read(json.loads(delivery.write())) == delivery


@pytest.mark.parametrize("message", [None, [], "text", {}, {"delivery": "d"}])
def test_what_is_no_delivery_is_refused(message):
    with pytest.raises(ValueError, match="not a delivery"):
        Delivery.read(message)


def test_the_waits_are_those_of_standard_webhooks_and_a_tenth_more_at_most():
    waits = [wait("msg_1", attempt, LATE, SCHEDULE) for attempt in range(1, 11)]
    assert waits.pop() is None, "ten attempts in all"
    for waited, least in zip(waits, SCHEDULE, strict=True):
        assert least <= waited <= 1.1 * least
    assert sum(SCHEDULE) == 75 * 3600 + 35 * 60 + 5


def test_deliveries_that_failed_together_do_not_come_back_together():
    waits = [wait(f"msg_{number}", 2, LATE, SCHEDULE) for number in range(20)]
    assert len(set(waits)) > 10
    assert waits == [wait(f"msg_{number}", 2, LATE, SCHEDULE) for number in range(20)]


@pytest.mark.parametrize(("asked", "waited"), [(0, 10), (3, 10), (600, 600), (10**9, 86400)])
def test_a_receiver_may_ask_for_more_time_up_to_a_day_but_not_for_less(asked, waited):
    assert waited <= wait("msg_1", 1, LATE, [10], asked) <= 1.1 * waited


@pytest.mark.parametrize(
    ("age", "waited"), [(0, 5), (4, 5), (60, 300), (400, 1800), (100 * 3600, None)]
)
def test_what_never_reached_us_does_not_use_up_the_schedule(age, waited):
    found = wait("msg_1", 99, age, SCHEDULE)
    assert found is waited is None or waited <= found <= 1.1 * waited
