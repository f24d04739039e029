import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import urllib3

from functions.upload import event_stream
from local.ports import free_port
from microdemucs.jobs import JobState
from microdemucs.paths import ROOT
from microdemucs.work_estimate import WorkEstimate
from testing.job_writer import JobWriter, new_job
from testing.server_sent_events import Event, parse_events, split_lines
from testing.stack import Stack
from testing.waiting import wait_until
from testing.web_client import WebClient


def open_stream(url: str, last_event_id: str = "") -> urllib3.BaseHTTPResponse:
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    return urllib3.request(
        "GET", url, headers=headers, preload_content=False, retries=False, timeout=20
    )


@contextmanager
def stream(address: str, id_: str, last_event_id: str = "") -> Iterator[Iterator[Event]]:
    """The events of a job, from the function's own process."""
    with stream_at(f"{address}/apiv1/jobs/{id_}/events", last_event_id) as events:
        yield events


@contextmanager
def stream_at(url: str, last_event_id: str = "") -> Iterator[Iterator[Event]]:
    responses: list[urllib3.BaseHTTPResponse] = []

    def is_accepted() -> bool:  # the stream of an earlier test may not be closed yet
        responses.append(open_stream(url, last_event_id))
        return responses[-1].status != 503

    wait_until(is_accepted)
    response = responses[-1]
    try:
        assert response.status == 200, response.data
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        yield parse_events(split_lines(response.stream(1)))
    finally:
        response.close()


def can_open(url: str) -> bool:
    """Whether one more stream can be opened; it is closed again."""
    response = open_stream(url)
    response.close()
    return response.status == 200


def test_a_stream_sends_every_change_and_ends_with_the_job(
    process: str, job_writer: JobWriter
) -> None:
    record = job_writer.write_record(new_job(f"{uuid.uuid4()}.mp3"))
    with stream(process, record.id) as events:
        first = next(events)
        assert (first.name, first.data["state"]) == ("state", JobState.WAITING)
        job_writer.write_record(record, state=JobState.RUNNING, phase="decoding")
        assert next(events).data["state"] == JobState.RUNNING
        job_writer.write_record(record, state=JobState.RUNNING, phase="separating", progress=0.5)
        step = next(events)
        assert step.name == "progress"
        assert step.data | {"updated": ""} == {
            "id": record.id,
            "state": JobState.RUNNING,
            "phase": "separating",
            "progress": 0.5,
            "position": None,
            "seconds_left": None,
            "updated": "",
        }
        estimate = WorkEstimate(passes=1, windows=8, network_seconds=62.4, output_bytes=6_888_000)
        job_writer.write_record(record, state=JobState.RUNNING, progress=0.6, estimate=estimate)
        assert next(events).data["estimate"] == {
            "passes": 1,
            "windows": 8,
            "network_seconds": 62.4,
            "output_bytes": 6_888_000,
            "seconds": None,
        }
        job_writer.write_record(record, state=JobState.DONE, progress=1.0, stems=["drums.mp3"])
        last = next(events)
        assert (last.name, last.data["state"]) == ("state", JobState.DONE)
        assert last.data["stems"][0]["download"].startswith("http://")
        assert int(first.id) < int(step.id) < int(last.id)
        assert next(events, None) is None


def test_a_client_that_reconnects_gets_no_event_twice(process: str, job_writer: JobWriter) -> None:
    record = job_writer.write_record(new_job(f"{uuid.uuid4()}.mp3"), state=JobState.RUNNING)
    with stream(process, record.id) as events:
        first = next(events)
    with stream(process, record.id, last_event_id=first.id) as events:
        job_writer.write_record(record, state=JobState.RUNNING, progress=0.7)
        new = next(events)
        assert (new.name, new.data["progress"]) == ("state", 0.7)
        job_writer.write_record(record, state=JobState.FAILED)
        last = next(events)
        assert last.data["state"] == JobState.FAILED
    after_the_end = urllib3.request(
        "GET",
        f"{process}/apiv1/jobs/{record.id}/events",
        headers={"Last-Event-ID": last.id},
    )
    assert after_the_end.status == 204


def test_a_stream_may_be_opened_before_the_song_arrives(
    process: str, job_writer: JobWriter
) -> None:
    upload = uuid.uuid4().hex
    with stream(process, upload) as events:
        record = job_writer.write_record(new_job(f"form/{upload}/a.mp3"))
        assert next(events).data["id"] == record.id


def test_the_number_of_streams_is_limited_and_a_finished_one_is_released(
    process: str, job_writer: JobWriter
) -> None:
    record = job_writer.write_record(new_job(f"{uuid.uuid4()}.mp3"), state=JobState.RUNNING)
    url = f"{process}/apiv1/jobs/{record.id}/events"
    with stream(process, record.id) as first, stream(process, record.id) as second:
        assert next(first).data["state"] == next(second).data["state"] == JobState.RUNNING
        third = urllib3.request("GET", url, retries=False)
        assert third.status == 503
        assert third.json()["type"] == "urn:micro-demucs:problem:too-many-streams"
        assert "all 2 streams (EVENT_STREAMS) are in use" in third.json()["detail"]
        assert "Retry-After" in third.headers
        job_writer.write_record(record, state=JobState.DONE)
        for events in (first, second):
            assert [event.data["state"] for event in events] == [JobState.DONE]
    wait_until(lambda: urllib3.request("GET", url, retries=False).status == 200)


def test_a_client_that_disconnects_releases_its_stream(process: str, job_writer: JobWriter) -> None:
    record = job_writer.write_record(new_job(f"{uuid.uuid4()}.mp3"), state=JobState.RUNNING)
    url = f"{process}/apiv1/jobs/{record.id}/events"
    for _ in range(6):  # the limit is two
        wait_until(lambda: can_open(url))


def test_an_idle_stream_sends_heartbeats_and_ends_by_itself(
    client: WebClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "MAX_STREAM_S", 0.2)
    monkeypatch.setattr(event_stream, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(event_stream, "CHECK_S", 0.05)
    with client.get(f"/apiv1/jobs/{uuid.uuid4().hex}/events") as response:
        text = response.text
    assert text.startswith("retry: 2000\n\n: heartbeat\n\n")


def test_a_head_request_occupies_no_stream(serve: Callable[..., WebClient]) -> None:
    client = serve(EVENT_STREAMS="1")
    for _ in range(3):
        response = client.head(f"/apiv1/jobs/{uuid.uuid4().hex}/events")
        response.close()
        assert response.status_code == 200


@pytest.mark.parametrize("id_", ["x", "0" * 31, "A" * 32])
def test_an_id_that_no_job_can_have_is_not_found(client: WebClient, id_: str) -> None:
    assert client.get(f"/apiv1/jobs/{id_}/events").status_code == 404


@pytest.mark.parametrize("last_event_id", ["x", "-1", "9" * 30, "²"])
def test_an_invalid_last_event_id_counts_as_none(
    client: WebClient, job_writer: JobWriter, last_event_id: str
) -> None:
    record = job_writer.write_record(new_job(f"{uuid.uuid4()}.mp3"), state=JobState.DONE)
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").status_code == 200)
    headers = {"Last-Event-ID": last_event_id.encode().decode("latin-1")}
    with client.get(f"/apiv1/jobs/{record.id}/events", headers=headers) as response:
        [only] = parse_events(response.text.splitlines())
    assert only.data["state"] == JobState.DONE


def test_one_stream_sends_the_changes_of_many_jobs_and_ends_with_the_last(
    process: str, job_writer: JobWriter
) -> None:
    done = job_writer.write_record(
        new_job(f"{uuid.uuid4()}.mp3"), state=JobState.DONE, stems=["drums.mp3"]
    )
    running = job_writer.write_record(new_job(f"{uuid.uuid4()}.mp3"), state=JobState.RUNNING)
    upload = uuid.uuid4().hex
    with stream_at(f"{process}/apiv1/events?jobs={done.id},{running.id},{upload}") as events:
        first = {event.data["id"]: event for event in (next(events), next(events))}
        assert {event.name for event in first.values()} == {"state"}
        assert first[done.id].data["stems"][0]["download"].startswith("http://")
        assert first[running.id].data["state"] == JobState.RUNNING
        late = job_writer.write_record(new_job(f"form/{upload}/a.mp3"), state=JobState.RUNNING)
        assert next(events).data["id"] == late.id
        job_writer.write_record(running, progress=0.5)
        progress = next(events)
        assert (progress.name, progress.data["id"]) == ("progress", running.id)
        job_writer.write_record(running, state=JobState.DONE)
        job_writer.write_record(late, state=JobState.FAILED)
        assert [event.data["id"] for event in events] == [running.id, late.id]


def test_a_client_that_reconnects_gets_no_event_of_many_jobs_twice(
    process: str, job_writer: JobWriter
) -> None:
    running = {"state": JobState.RUNNING}
    jobs = [job_writer.write_record(new_job(f"{n}-again.mp3"), **running) for n in range(2)]
    url = f"{process}/apiv1/events?jobs={jobs[0].id},{jobs[1].id}"
    with stream_at(url) as events:
        last = [next(events), next(events)][-1]
    with stream_at(url, last.id) as events:
        job_writer.write_record(jobs[0], state=JobState.DONE)
        assert next(events).data["state"] == JobState.DONE
        job_writer.write_record(jobs[1], state=JobState.DONE)
        last = next(events)
        assert last.data["id"] == jobs[1].id
    after_the_end = urllib3.request("GET", url, headers={"Last-Event-ID": last.id})
    assert after_the_end.status == 204


def test_without_names_the_stream_follows_all_unfinished_jobs(
    process: str, job_writer: JobWriter
) -> None:
    finished = job_writer.write_record(new_job(f"{uuid.uuid4()}.mp3"), state=JobState.DONE)
    waiting = job_writer.write_record(new_job(f"{uuid.uuid4()}.mp3"))
    wait_until(lambda: urllib3.request("GET", f"{process}/apiv1/jobs/{waiting.id}").status == 200)
    with stream_at(f"{process}/apiv1/events") as events:
        seen: list[str] = []
        while not seen or seen[-1] != waiting.id:
            seen.append(next(events).data["id"])
        assert finished.id not in seen
        new = job_writer.write_record(new_job(f"{uuid.uuid4()}.mp3"))
        assert next(events).data["id"] == new.id
    job_writer.write_record(waiting, state=JobState.DONE)
    job_writer.write_record(new, state=JobState.DONE)


def test_the_names_of_two_hundred_jobs_fit_into_a_request(process: str) -> None:
    names = ",".join(uuid.uuid4().hex for _ in range(200))
    with stream_at(f"{process}/apiv1/events?jobs={names}"):
        pass


def test_a_name_that_no_job_can_have_and_another_parameter_are_rejected(client: WebClient) -> None:
    for query in ("jobs=x", "jobs=", "job=" + "0" * 32):
        response = client.get(f"/apiv1/events?{query}")
        assert (response.status_code, response.json["type"].rpartition(":")[2]) == (
            422,
            "bad-value",
        )


def test_sigterm_ends_open_streams_and_then_the_process(stack: Stack) -> None:
    port = free_port()
    env = stack.connection("upload") | {"HOST": "127.0.0.1", "PORT": str(port)}
    command = [sys.executable, "-m", "microdemucs.service", "upload"]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | env) as function:
        url = f"http://127.0.0.1:{port}/apiv1/jobs/{uuid.uuid4().hex}/events"
        responses: list[urllib3.BaseHTTPResponse] = []

        def is_open() -> bool:
            try:
                responses.append(urllib3.request("GET", url, preload_content=False, retries=False))
            except urllib3.exceptions.HTTPError:
                return False
            return responses[-1].status == 200

        try:
            wait_until(is_open)
            lines = split_lines(responses[-1].stream(1))
            assert next(lines) == "retry: 2000"
            function.send_signal(signal.SIGTERM)
            assert list(lines) == [""]
            assert function.wait(60) == 0
        finally:
            function.kill()
