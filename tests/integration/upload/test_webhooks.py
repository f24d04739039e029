import json
from base64 import b64decode, b64encode

import pytest
from standardwebhooks import Webhook

from functions.upload.webhooks import EVENTS
from microdemucs.bus import WEBHOOKS

URL = "https://example.com/hook?x=1"


@pytest.fixture
def registered(client):
    """A webhook, as the answer to its registration told it; gone afterwards."""
    webhook = client.post("/apiv1/webhooks", json={"url": URL}).json
    yield webhook
    client.delete(f"/apiv1/webhooks/{webhook['id']}")


def test_registering_tells_the_secret_and_nothing_else_does(client, registered):
    path = f"/apiv1/webhooks/{registered['id']}"
    assert len(b64decode(registered["secret"].removeprefix("whsec_"))) == 32
    Webhook(registered["secret"])  # the library takes it
    said = {name: value for name, value in registered.items() if name != "secret"}
    assert client.get(path).json == said
    assert said in client.get("/apiv1/webhooks").json["webhooks"]
    assert "secret" not in client.patch(path, json={"active": False}).json


def test_what_is_not_given_has_a_default(registered):
    assert registered["events"] == EVENTS
    assert (registered["description"], registered["active"]) == ("", True)
    assert registered["created"] == registered["updated"]


def test_the_record_is_what_notify_reads(client, separation, registered):
    bus = client.application.extensions["context"]().bus
    assert json.loads(bus.get(WEBHOOKS, registered["id"]).value) == registered


def test_all_can_be_chosen(client):
    secret = "whsec_" + b64encode(b"x" * 24).decode()
    wanted = {"events": [EVENTS[2], EVENTS[1], EVENTS[2]], "description": "mine", "active": False}
    answer = client.post("/apiv1/webhooks", json={"url": URL, "secret": secret} | wanted)
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/apiv1/webhooks/{answer.json['id']}"
    assert answer.json["secret"] == secret
    assert answer.json["events"] == [EVENTS[1], EVENTS[2]]
    assert client.delete(answer.headers["Location"]).status_code == 204


def test_a_change_changes_what_is_given_only(client, registered):
    path = f"/apiv1/webhooks/{registered['id']}"
    changed = client.patch(
        path, json={"url": "http://example.org:8080/", "events": EVENTS[:1]}
    ).json
    assert (changed["url"], changed["events"]) == ("http://example.org:8080/", EVENTS[:1])
    assert changed["created"] == registered["created"]
    assert changed["updated"] >= registered["updated"]
    bus = client.application.extensions["context"]().bus
    assert json.loads(bus.get(WEBHOOKS, registered["id"]).value)["secret"] == registered["secret"]


def test_a_deleted_webhook_is_gone(client):
    path = client.post("/apiv1/webhooks", json={"url": URL}).headers["Location"]
    gone = client.delete(path)
    assert (gone.status_code, gone.data) == (204, b"")
    for answer in (client.get(path), client.delete(path), client.patch(path, json={})):
        assert (answer.status_code, answer.json["type"]) == (
            404,
            "urn:micro-demucs:problem:unknown-webhook",
        )


@pytest.mark.parametrize("id_", ["0" * 32, "*", "a b", "callback.x", "%3E"])
def test_an_unknown_webhook_is_not_found(client, id_):
    assert client.get(f"/apiv1/webhooks/{id_}").status_code == 404


@pytest.mark.parametrize(
    ("given", "member"),
    [
        ({"url": None}, "url"),
        ({"url": "example.com"}, "url"),
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://me:secret@example.com"}, "url"),
        ({"url": "https://example.com/\n"}, "url"),
        ({"url": "https://example.com/" + "x" * 2048}, "url"),
        ({"events": []}, "events"),
        ({"events": ["dev.microdemucs.separation.paused"]}, "events"),
        ({"events": "all"}, "events"),
        ({"events": [{}]}, "events"),
        ({"description": 5}, "description"),
        ({"description": "x" * 501}, "description"),
        ({"active": "yes"}, "active"),
        ({"id": "mine"}, "id"),
    ],
)
def test_what_a_webhook_cannot_be_is_told_by_its_member(client, registered, given, member):
    for answer in (
        client.post("/apiv1/webhooks", json={"url": URL} | given),
        client.patch(f"/apiv1/webhooks/{registered['id']}", json=given),
    ):
        assert (answer.status_code, answer.json["member"]) == (422, member)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        5,
        "secret",
        "whsec_",
        "whsec_!",
        b64encode(b"x" * 32).decode(),
        "whsec_" + b64encode(b"x" * 23).decode(),
        "whsec_" + b64encode(b"x" * 65).decode(),
    ],
)
def test_a_secret_that_is_none_is_refused(client, secret):
    answer = client.post("/apiv1/webhooks", json={"url": URL, "secret": secret})
    assert (answer.status_code, answer.json["member"]) == (422, "secret")


PRIVATE = [
    "http://localhost:9000/",
    "http://LOCALHOST./",
    "http://store.internal/",
    "http://printer.local/",
    "http://127.0.0.1/",
    "http://127.1/",
    "http://0x7f000001/",
    "http://2130706433/",
    "http://10.1.2.3/",
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[fd00::1]/",
    "http://0.0.0.0/",
]


@pytest.mark.parametrize("url", PRIVATE)
def test_a_private_address_is_refused(client, url):
    answer = client.post("/apiv1/webhooks", json={"url": url})
    assert (answer.status_code, answer.json["type"]) == (
        422,
        "urn:micro-demucs:problem:private-address",
    )


def test_a_private_address_is_taken_where_a_setting_allows_it(serve):
    client = serve(WEBHOOK_ALLOW_PRIVATE="1")
    for url in (PRIVATE[0], PRIVATE[4], PRIVATE[10]):
        answer = client.post("/apiv1/webhooks", json={"url": url})
        assert answer.status_code == 201
        client.delete(answer.headers["Location"])


@pytest.mark.parametrize(
    "url", ["http://8.8.8.8/", "http://[2606:4700::1111]/", "https://a.example/"]
)
def test_a_public_address_is_taken(client, url):
    answer = client.post("/apiv1/webhooks", json={"url": url})
    assert answer.status_code == 201
    client.delete(answer.headers["Location"])
