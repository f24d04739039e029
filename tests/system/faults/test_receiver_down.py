"""A webhook's receiver that is down for a while still gets each event, once, signed."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks import Webhook

from local.ports import free_port
from testing.songs import mp3
from testing.waiting import wait_until


class Receiver:
    """Answers 500 while it is `down`; keeps what it got."""

    def __init__(self, port):
        self.got, self.refused, self.down = [], [], True
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                (receiver.refused if receiver.down else receiver.got).append(
                    ({k.lower(): v for k, v in self.headers.items()}, body)
                )
                self.send_response(500 if receiver.down else 204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def test_the_event_comes_once_it_is_back_with_the_same_id_and_a_true_signature(stack):
    port = free_port()
    webhook = stack.api(
        "POST",
        "/apiv1/webhooks",
        {
            "url": f"http://127.0.0.1:{port}/hook",
            "events": ["dev.microdemucs.separation.completed"],
        },
    )
    stack.put_song("song.mp3", mp3(2.0))
    manifest = stack.wait_for_manifest("song.mp3")
    wait_until(
        lambda: stack.logged("retry scheduled", route="deliveries"), 30, "a refused connection"
    )
    receiver = Receiver(port)
    try:
        wait_until(lambda: receiver.refused, 30, "an attempt while it answers 500")
        receiver.down = False
        wait_until(lambda: receiver.got, 30, "the delivery")
        wait_until(lambda: stack.logged("delivered", route="deliveries"), 30)
        [(headers, text)] = receiver.got
        assert {h["webhook-id"] for h, _ in receiver.refused} == {headers["webhook-id"]}
        event = Webhook(webhook["secret"]).verify(text, headers)
        assert event["type"] == "dev.microdemucs.separation.completed"
        assert event["data"]["job"] == manifest["job"]
        for stem, told in zip(manifest["stems"], event["data"]["stems"], strict=True):
            assert stem["key"] == told["key"]
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
