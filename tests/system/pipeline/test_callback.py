"""A song that is sent again with the same callback calls it again."""

import json
from functools import partial
from typing import Any

import urllib3

from testing.http_receiver import HttpReceiver
from testing.songs import mp3
from testing.stack import Stack
from testing.waiting import wait_until

COMPLETED = "dev.microdemucs.separation.completed"


def wait_until_idle(stack: Stack) -> None:
    """Wait until no message is on its way, from the song to the delivery."""
    consumers = {"SONGS": "separate", "STEMS": "results", "DELIVERIES": "deliveries"}
    for stream, consumer in consumers.items():
        wait_until(partial(stack.is_idle, stream, consumer), 60, f"{stream} is idle")


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

        first = post()
        wait_until(lambda: len(receiver.requests) == 1, 90, "the first call")
        job = stack.api("GET", f"/apiv1/jobs/{first['job']}")
        assert (job["state"], job["hash"]) == ("done", first["hash"])
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
