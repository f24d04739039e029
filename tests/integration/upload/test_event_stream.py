import uuid
from contextlib import contextmanager

import pytest
import urllib3

from functions.upload import event_stream
from microdemucs.jobs import JobState
from testing.waiting import wait_until
from tests.integration.upload.listening import heard, lines
from tests.integration.upload.separated import a_job


def opened(url, last=""):
    headers = {"Last-Event-ID": last} if last else {}
    return urllib3.request(
        "GET", url, headers=headers, preload_content=False, retries=False, timeout=20
    )


@contextmanager
def listening(address, id_, last=""):
    """The events of a job, from the function's own process."""
    url = f"{address}/apiv1/jobs/{id_}/events"
    answers = []

    def is_in() -> bool:  # who listened before may just have gone away
        answers.append(opened(url, last))
        return answers[-1].status != 503

    wait_until(is_in)
    answer = answers[-1]
    try:
        assert answer.status == 200, answer.data
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        yield heard(lines(answer.stream(1)))
    finally:
        answer.close()


def is_open(url: str) -> bool:
    """Whether there is room for one more; it goes away again."""
    answer = opened(url)
    answer.close()
    return answer.status == 200


def test_a_listener_hears_every_step_and_then_the_end(process, separation):
    record = separation.tells(a_job(f"{uuid.uuid4()}.mp3"))
    with listening(process, record.id) as events:
        first = next(events)
        assert (first.event, first.data["state"]) == ("state", JobState.WAITING)
        separation.tells(record, state=JobState.RUNNING, phase="decoding")
        assert next(events).data["state"] == JobState.RUNNING
        separation.tells(record, state=JobState.RUNNING, phase="separating", progress=0.5)
        step = next(events)
        assert step.event == "progress"
        assert step.data | {"updated": ""} == {
            "id": record.id,
            "state": JobState.RUNNING,
            "phase": "separating",
            "progress": 0.5,
            "updated": "",
        }
        separation.tells(record, state=JobState.DONE, progress=1.0, stems=["drums.mp3"])
        last = next(events)
        assert (last.event, last.data["state"]) == ("state", JobState.DONE)
        assert last.data["stems"][0]["download"].startswith("http://")
        assert int(first.id) < int(step.id) < int(last.id)
        assert next(events, None) is None


def test_who_comes_back_hears_nothing_twice(process, separation):
    record = separation.tells(a_job(f"{uuid.uuid4()}.mp3"), state=JobState.RUNNING)
    with listening(process, record.id) as events:
        first = next(events)
    with listening(process, record.id, last=first.id) as events:
        separation.tells(record, state=JobState.RUNNING, progress=0.7)
        again = next(events)
        assert (again.event, again.data["progress"]) == ("state", 0.7)
        separation.tells(record, state=JobState.FAILED)
        last = next(events)
        assert last.data["state"] == JobState.FAILED
    over = urllib3.request(
        "GET",
        f"{process}/apiv1/jobs/{record.id}/events",
        headers={"Last-Event-ID": last.id},
    )
    assert over.status == 204


def test_a_listener_may_come_before_the_song(process, separation):
    upload = uuid.uuid4().hex
    with listening(process, upload) as events:
        record = separation.tells(a_job(f"form/{upload}/a.mp3"))
        assert next(events).data["id"] == record.id


def test_there_are_only_so_many_streams_and_one_that_ends_makes_room(process, separation):
    record = separation.tells(a_job(f"{uuid.uuid4()}.mp3"), state=JobState.RUNNING)
    url = f"{process}/apiv1/jobs/{record.id}/events"
    with listening(process, record.id) as one, listening(process, record.id) as two:
        assert next(one).data["state"] == next(two).data["state"] == JobState.RUNNING
        third = urllib3.request("GET", url, retries=False)
        assert third.status == 503
        assert third.json()["type"] == "urn:micro-demucs:problem:too-many-streams"
        assert "Retry-After" in third.headers
        separation.tells(record, state=JobState.DONE)
        for events in (one, two):
            assert [event.data["state"] for event in events] == [JobState.DONE]
    wait_until(lambda: urllib3.request("GET", url, retries=False).status == 200)


def test_a_listener_who_goes_away_makes_room(process, separation):
    record = separation.tells(a_job(f"{uuid.uuid4()}.mp3"), state=JobState.RUNNING)
    url = f"{process}/apiv1/jobs/{record.id}/events"
    for _ in range(6):  # there is room for two
        wait_until(lambda: is_open(url))


def test_a_stream_ends_by_itself_before_a_proxy_ends_it(client, separation, monkeypatch):
    monkeypatch.setattr(event_stream, "STREAM_S", 0.2)
    monkeypatch.setattr(event_stream, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(event_stream, "_NOTICE_STOP_S", 0.05)
    with client.get(f"/apiv1/jobs/{uuid.uuid4().hex}/events") as answer:
        text = answer.text
    assert text.startswith("retry: 2000\n\n: still here\n\n")


def test_to_ask_for_the_head_of_a_stream_takes_no_place(serve):
    client = serve(EVENT_STREAMS="1")
    for _ in range(3):
        answer = client.head(f"/apiv1/jobs/{uuid.uuid4().hex}/events")
        answer.close()
        assert answer.status_code == 200


@pytest.mark.parametrize("id_", ["x", "0" * 31, "A" * 32])
def test_what_can_be_no_job_is_not_waited_for(client, id_):
    assert client.get(f"/apiv1/jobs/{id_}/events").status_code == 404


@pytest.mark.parametrize("last", ["x", "-1", "9" * 30, "²"])
def test_an_odd_last_event_id_counts_as_none(client, separation, last):
    record = separation.tells(a_job(f"{uuid.uuid4()}.mp3"), state=JobState.DONE)
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").status_code == 200)
    headers = {"Last-Event-ID": last.encode().decode("latin-1")}
    with client.get(f"/apiv1/jobs/{record.id}/events", headers=headers) as answer:
        [only] = heard(answer.text.splitlines())
    assert only.data["state"] == JobState.DONE
