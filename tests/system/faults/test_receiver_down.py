"""A webhook receiver is down, then answers 500, then works: it gets the event once, signed."""

from standardwebhooks import Webhook

from local.ports import free_port
from testing.http_receiver import HttpReceiver, in_turn
from testing.songs import mp3
from testing.stack import Stack
from testing.waiting import wait_until

COMPLETED = "dev.microdemucs.separation.completed"


def test_an_event_is_retried_with_the_same_id_until_it_is_delivered(stack: Stack) -> None:
    port = free_port()
    hook = {"url": f"http://127.0.0.1:{port}/hook", "events": [COMPLETED]}
    webhook = stack.api("POST", "/apiv1/webhooks", hook)
    stack.put_song("song.mp3", mp3(2.0))
    manifest = stack.wait_for_manifest("song.mp3")
    wait_until(lambda: stack.logged("retry scheduled", route="deliveries"), 30, "no connection")

    with HttpReceiver(in_turn((500, {})), port) as receiver:
        wait_until(lambda: stack.logged("delivered", route="deliveries"), 60, "the delivery")
    refused, delivered = receiver.requests
    assert refused.headers["webhook-id"] == delivered.headers["webhook-id"]
    event = Webhook(webhook["secret"]).verify(delivered.body, delivered.headers)
    assert event["type"] == COMPLETED
    assert event["data"]["job"] == manifest["job"]
    stems = [stem["key"] for stem in manifest["stems"]]
    assert [stem["key"] for stem in event["data"]["stems"]] == stems
