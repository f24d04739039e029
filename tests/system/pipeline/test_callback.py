"""Each accepted request with a callback is answered by one call with its own data."""

import json
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
import urllib3

from microdemucs.jobs import job_id
from testing.http_receiver import HttpReceiver
from testing.songs import mp3
from testing.stack import Stack
from testing.waiting import wait_until

COMPLETED = "dev.microdemucs.separation.completed"
FAILED = "dev.microdemucs.separation.failed"


def wait_until_idle(stack: Stack) -> None:
    """Wait until no message is on its way, from the song to the delivery."""
    for stream, consumer in {"SONGS": "separate", "STEMS": "results"}.items():
        wait_until(partial(stack.is_idle, stream, consumer), 60, f"{stream} is idle")
    wait_until(stack.has_delivered, 60, "all deliveries are done")


def test_each_request_with_a_callback_calls_it_once(stack: Stack) -> None:
    song = mp3(3.41)
    with HttpReceiver() as receiver:
        address = f"{stack.environment.upload_url}/apiv1/separate?callback={receiver.url}/hook"

        def post(**headers: str) -> dict[str, Any]:
            headers["Content-Type"] = "audio/mpeg"
            response = urllib3.request("POST", address, body=song, headers=headers)
            assert response.status == 200, response.data
            answer: dict[str, Any] = response.json()
            return answer

        def done() -> dict[str, Any] | None:
            job = stack.api("GET", f"/apiv1/jobs/{first['job']}")
            return job if job["state"] == "done" else None

        first = post()
        wait_until(lambda: len(receiver.requests) == 1, 90, "the first call")
        job = wait_until(done, what="the job is done")  # recorded after the call was published
        assert job["hash"] == first["hash"]
        again = post(**{"Idempotency-Key": '"a"'})
        assert (again["job"], again["reason"], again["state"]) == (first["job"], "queued", "done")
        wait_until(lambda: len(receiver.requests) == 2, 60, "the second call")
        assert post(**{"Idempotency-Key": '"a"'}) == again
        wait_until_idle(stack)
        third = post()
        assert third["job"] == first["job"]
        wait_until(lambda: len(receiver.requests) == 3, 60, "the third call")
        wait_until_idle(stack)
    events = [json.loads(request.body) for request in receiver.requests]
    assert len(events) == 3
    assert {(event["type"], event["data"]["job"]) for event in events} == {
        (COMPLETED, first["job"])
    }
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 3
    assert len(stack.logged("job started", job=first["job"])) == 1


@pytest.mark.parametrize("ending", ["done", "failed", "cancelled"])
def test_requests_with_the_same_song_are_each_answered_once_with_their_own_data(
    stack: Stack, ending: str
) -> None:
    before = f"before the callbacks, {ending}.mp3"
    first = job_id(stack.put_song(before, mp3(12.0 + len(ending)), shifts="10"))
    stack.wait_for_job(before, "running")
    song = b"no song" if ending == "failed" else mp3(3.42 + len(ending) / 100)
    with HttpReceiver() as receiver:
        jobs = set()
        for order in (1, 2, 3):
            callback = json.dumps({"url": f"{receiver.url}/hook", "data": {"order": order}})
            address = f"{stack.environment.upload_url}/apiv1/separate?callback={quote(callback)}"
            headers = {"Content-Type": "audio/mpeg"}
            response = urllib3.request("POST", address, body=song, headers=headers)
            assert response.status == 200, response.data
            jobs.add(response.json()["job"])
        [job] = jobs
        if ending == "cancelled":
            stack.api("DELETE", f"/apiv1/jobs/{job}")
        stack.api("DELETE", f"/apiv1/jobs/{first}")  # all requests were sent before the song's turn
        wait_until(lambda: len(receiver.requests) == 3, 90, "three calls")
        wait_until_idle(stack)
    events = [json.loads(request.body) for request in receiver.requests]
    assert sorted(event["data"]["callback"]["order"] for event in events) == [1, 2, 3]
    assert {event["type"] for event in events} == {COMPLETED if ending == "done" else FAILED}
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 3


def test_a_callback_id_in_a_songs_metadata_is_ignored_and_the_song_is_separated(
    stack: Stack,
) -> None:
    stack.put_song("own callback.mp3", mp3(3.47), callback="https://my.example/hook")
    manifest = stack.wait_for_manifest("own callback.mp3")
    assert manifest["warnings"][0].startswith("callback ignored: ")
    wait_until(lambda: stack.logged("deliveries published", job=manifest["job"], type=COMPLETED))
