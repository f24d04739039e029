import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from nats.aio.client import Client
from standardwebhooks import Webhook

from functions.upload.webhooks import EVENT_TYPES
from microdemucs.bus import ATTEMPTS_SUBJECT, WEBHOOKS
from microdemucs.messages import Attempt, DeliveryState
from testing.stack import Stack
from testing.waiting import wait_until
from testing.web_client import WebClient

URL = "https://example.com/hook?x=1"


@pytest.fixture
def registered(client: WebClient) -> Iterator[dict[str, Any]]:
    """A webhook as the response to its registration shows it; deleted afterwards."""
    webhook = client.post("/apiv1/webhooks", json={"url": URL}).json
    yield webhook
    client.delete(f"/apiv1/webhooks/{webhook['id']}")


def test_only_the_registration_shows_the_secret(
    client: WebClient, registered: dict[str, Any]
) -> None:
    path = f"/apiv1/webhooks/{registered['id']}"
    assert len(b64decode(registered["secret"].removeprefix("whsec_"))) == 32
    Webhook(registered["secret"])  # the library accepts it
    without_secret = {name: value for name, value in registered.items() if name != "secret"}
    assert client.get(path).json == without_secret
    assert without_secret in client.get("/apiv1/webhooks").json["webhooks"]
    assert "secret" not in client.patch(path, json={"active": False}).json


def test_members_that_are_left_out_have_defaults(registered: dict[str, Any]) -> None:
    assert registered["events"] == EVENT_TYPES
    assert (registered["description"], registered["active"]) == ("", True)
    assert registered["created"] == registered["updated"]
    assert (registered["failing_since"], registered["inactive_reason"]) == ("", "")


def test_the_record_on_the_bus_is_the_registration(
    client: WebClient, registered: dict[str, Any]
) -> None:
    bus = client.application.extensions["context"]().bus
    assert json.loads(bus.get(WEBHOOKS, registered["id"]).value) == registered


def test_every_member_can_be_chosen(client: WebClient) -> None:
    secret = "whsec_" + b64encode(b"x" * 24).decode()
    members = {
        "events": [EVENT_TYPES[2], EVENT_TYPES[1], EVENT_TYPES[2]],
        "description": "mine",
        "active": False,
    }
    response = client.post("/apiv1/webhooks", json={"url": URL, "secret": secret} | members)
    assert response.status_code == 201
    assert response.headers["Location"] == f"/apiv1/webhooks/{response.json['id']}"
    assert response.json["secret"] == secret
    assert response.json["events"] == [EVENT_TYPES[1], EVENT_TYPES[2]]
    assert (response.json["description"], response.json["active"]) == ("mine", False)
    assert client.delete(response.headers["Location"]).status_code == 204


def test_an_update_changes_only_the_members_in_its_body(
    client: WebClient, registered: dict[str, Any]
) -> None:
    path = f"/apiv1/webhooks/{registered['id']}"
    changes = {"url": "http://example.org:8080/", "events": EVENT_TYPES[:1]}
    changed = client.patch(path, json=changes).json
    assert (changed["url"], changed["events"]) == ("http://example.org:8080/", EVENT_TYPES[:1])
    assert changed["created"] == registered["created"]
    assert changed["updated"] >= registered["updated"]
    bus = client.application.extensions["context"]().bus
    assert json.loads(bus.get(WEBHOOKS, registered["id"]).value)["secret"] == registered["secret"]


def test_a_deleted_webhook_is_not_found(client: WebClient) -> None:
    path = client.post("/apiv1/webhooks", json={"url": URL}).headers["Location"]
    deleted = client.delete(path)
    assert (deleted.status_code, deleted.data) == (204, b"")
    for response in (client.get(path), client.delete(path), client.patch(path, json={})):
        assert response.status_code == 404
        assert response.json["type"] == "urn:micro-demucs:problem:unknown-webhook"


@pytest.mark.parametrize("id_", ["0" * 32, "*", "a b", "callback.x", "%3E"])
def test_an_unknown_webhook_is_not_found(client: WebClient, id_: str) -> None:
    assert client.get(f"/apiv1/webhooks/{id_}").status_code == 404


@pytest.mark.parametrize(
    ("members", "member"),
    [
        ({"url": None}, "url"),
        ({"url": "example.com"}, "url"),
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://me:hunter2@example.com"}, "url"),
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
def test_a_bad_member_is_named(
    client: WebClient, registered: dict[str, Any], members: dict[str, Any], member: str
) -> None:
    for response in (
        client.post("/apiv1/webhooks", json={"url": URL} | members),
        client.patch(f"/apiv1/webhooks/{registered['id']}", json=members),
    ):
        assert (response.status_code, response.json["member"]) == (422, member)
        assert "hunter2" not in response.json["detail"]


@pytest.mark.parametrize(
    "secret", ["", 5, "not-a-secret", "whsec_" + b64encode(b"x" * 23).decode()]
)
def test_a_bad_secret_is_rejected_and_not_shown(client: WebClient, secret: Any) -> None:
    response = client.post("/apiv1/webhooks", json={"url": URL, "secret": secret})
    assert (response.status_code, response.json["member"]) == (422, "secret")
    assert response.json["detail"] == (
        "secret must be whsec_ followed by base64 of 24 to 64 random bytes"
    )


def test_a_private_address_is_rejected(client: WebClient) -> None:
    response = client.post("/apiv1/webhooks", json={"url": "http://169.254.169.254/latest"})
    assert response.status_code == 422
    assert response.json["type"] == "urn:micro-demucs:problem:private-address"
    assert response.json["title"] == "This webhook URL is not allowed"


def test_a_private_address_is_accepted_if_the_setting_allows_it(
    serve: Callable[..., WebClient],
) -> None:
    client = serve(WEBHOOK_ALLOW_PRIVATE="1")
    for url in ("http://localhost:9000/", "http://127.0.0.1/", "http://[::1]/"):
        response = client.post("/apiv1/webhooks", json={"url": url})
        assert response.status_code == 201
        client.delete(response.headers["Location"])


def test_a_deleted_webhook_leaves_nothing_on_the_bus(client: WebClient) -> None:
    bus = client.application.extensions["context"]().bus
    paths = [
        client.post("/apiv1/webhooks", json={"url": URL}).headers["Location"] for _ in range(30)
    ]
    before = bus.count(WEBHOOKS, ">")
    for path in paths:
        assert client.delete(path).status_code == 204

    def has_no_markers() -> bool:
        return all(entry.value is not None for entry in bus.changes(WEBHOOKS, ">", 0))

    wait_until(has_no_markers, 60, "no marker of a deletion is left")
    assert bus.count(WEBHOOKS, ">") <= before - len(paths)


def test_more_webhooks_than_the_setting_allows_are_refused(serve: Callable[..., WebClient]) -> None:
    client = serve(MAX_WEBHOOKS="2")
    bus = client.application.extensions["context"]().bus
    for entry in bus.entries(WEBHOOKS, "*"):
        bus.remove(WEBHOOKS, entry.key)
    paths = [
        client.post("/apiv1/webhooks", json={"url": URL}).headers["Location"] for _ in range(2)
    ]
    refused = client.post("/apiv1/webhooks", json={"url": URL})
    assert refused.status_code == 409
    assert refused.json["type"] == "urn:micro-demucs:problem:too-many-webhooks"
    assert "MAX_WEBHOOKS" in refused.json["detail"]
    assert client.patch(paths[0], json={"active": False}).status_code == 200
    client.delete(paths[0])
    paths[0] = client.post("/apiv1/webhooks", json={"url": URL}).headers["Location"]
    for path in paths:
        assert client.delete(path).status_code == 204


@pytest.mark.parametrize("record", [b"no json", b"[]", b'{"id": "x"}', b"[" * 100_000])
def test_a_record_that_cannot_be_read_is_left_out_of_the_list_and_can_be_deleted(
    client: WebClient, registered: dict[str, Any], record: bytes
) -> None:
    bus = client.application.extensions["context"]().bus
    bus.put(WEBHOOKS, "broken", record)
    listed = client.get("/apiv1/webhooks")
    assert listed.status_code == 200
    ids = [webhook["id"] for webhook in listed.json["webhooks"]]  # also those of other tests
    assert registered["id"] in ids
    assert "broken" not in ids
    for response in (
        client.get("/apiv1/webhooks/broken"),
        client.patch("/apiv1/webhooks/broken", json={"active": True}),
    ):
        assert response.status_code == 409
        assert response.json["type"] == "urn:micro-demucs:problem:unreadable-webhook"
    assert client.delete("/apiv1/webhooks/broken").status_code == 204
    assert bus.get(WEBHOOKS, "broken") is None


@pytest.mark.parametrize("changes", [{"active": True}, {"url": "https://example.org/"}])
def test_a_change_by_its_owner_forgets_the_failures(
    client: WebClient, registered: dict[str, Any], changes: dict[str, Any]
) -> None:
    bus = client.application.extensions["context"]().bus
    failing = registered | {
        "active": False,
        "failing_since": "2026",
        "inactive_reason": "it failed",
    }
    bus.put(WEBHOOKS, registered["id"], json.dumps(failing).encode())
    path = f"/apiv1/webhooks/{registered['id']}"
    assert client.get(path).json["inactive_reason"] == "it failed"
    changed = client.patch(path, json=changes).json
    assert changed["failing_since"] == ""
    assert changed["inactive_reason"] == ("" if "active" in changes else "it failed")


def publish_attempts(stack: Stack, webhook: str, *texts: bytes) -> None:
    """Publish attempts as the notify function does."""

    async def publish(client: Client) -> None:
        for text in texts:
            await client.jetstream().publish(f"{ATTEMPTS_SUBJECT}.{webhook}", text)

    stack.on_bus("notify", publish)


def attempt(number: int, state: DeliveryState) -> Attempt:
    return Attempt(
        delivery="msg_1",
        type=EVENT_TYPES[1],
        job="j",
        attempt=number,
        time="2026-01-01T00:00:00.000Z",
        state=state,
    )


def test_the_last_attempts_are_listed_newest_first(
    stack: Stack, client: WebClient, registered: dict[str, Any]
) -> None:
    path = f"/apiv1/webhooks/{registered['id']}/attempts"
    assert client.get(path).json == {"attempts": []}
    first, second = attempt(1, DeliveryState.WAITING), attempt(2, DeliveryState.DELIVERED)
    publish_attempts(stack, registered["id"], first.write(), second.write())
    assert client.get(path).json == {"attempts": [second.data(), first.data()]}


def test_an_attempt_that_cannot_be_read_is_left_out(
    stack: Stack, client: WebClient, registered: dict[str, Any]
) -> None:
    readable = attempt(1, DeliveryState.WAITING)
    publish_attempts(stack, registered["id"], b"[" * 10_000, readable.write(), b"{}")
    listed = client.get(f"/apiv1/webhooks/{registered['id']}/attempts").json
    assert listed == {"attempts": [readable.data()]}


def test_an_unknown_webhook_has_no_attempts(client: WebClient) -> None:
    for id_ in ("0" * 32, "*", "%3E", "a.b"):
        response = client.get(f"/apiv1/webhooks/{id_}/attempts")
        assert response.status_code == 404
        assert response.json["type"].endswith(":unknown-webhook")
