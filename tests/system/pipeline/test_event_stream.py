"""What a client of an event stream gets while the bridge works on the queue."""

import urllib3

from microdemucs.jobs import job_id
from testing.server_sent_events import parse_events, split_lines
from testing.songs import mp3
from testing.stack import Stack


def test_a_cancelled_song_leaves_the_queue_at_once_and_the_next_moves_up(stack: Stack) -> None:
    in_front = job_id(stack.put_song("in front.mp3", mp3(45.0, 5.0), shifts="10"))
    stack.wait_for_job("in front.mp3", "running")
    first, second = (job_id(stack.put_song(f"{n}.mp3", mp3(3.0, n))) for n in (7.1, 7.2))
    stack.wait_for_job("7.1.mp3", "waiting")
    stack.wait_for_job("7.2.mp3", "waiting")
    url = f"{stack.environment.upload_url}/apiv1/events?jobs={first},{second}"
    response = urllib3.request("GET", url, preload_content=False, timeout=60)
    events = parse_events(split_lines(response.stream(1)))
    position = {data["id"]: data["position"] for data in (next(events).data, next(events).data)}
    assert position == {first: 1, second: 2}

    stack.api("DELETE", f"/apiv1/jobs/{first}")
    cancelled = next(events)
    assert (cancelled.name, cancelled.data["id"]) == ("state", first)
    assert (cancelled.data["state"], cancelled.data["position"]) == ("cancelled", None)
    moved = next(events)
    assert (moved.name, moved.data["id"], moved.data["position"]) == ("progress", second, 1)
    assert stack.api("DELETE", f"/apiv1/jobs/{in_front}")["state"] == "running"

    states = [(event.data["id"], event.data["state"]) for event in events]
    response.close()
    assert {state for id_, state in states if id_ == first} <= {"cancelled"}
    assert states[-1] == (second, "done")
