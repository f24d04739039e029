import flask
import pytest
from cloudevents.http import CloudEvent
from flask.testing import FlaskClient

from microdemucs import service
from microdemucs.event_guard import MAX_EVENT_BYTES, Access, guard_events
from minio_events.forward import signed_request

SECRET = "a-secret-of-the-bridge"
STRUCTURED = b'{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": {}}'


def client_on(host: str) -> FlaskClient:
    """A client of a function that listens on `host` and answers 200 to each event."""
    app = flask.Flask("guarded")
    service.install_probes_and_errors(app, lambda: None)
    guard_events(app, lambda: Access(host, SECRET))
    app.add_url_rule("/", view_func=lambda: "done", methods=["POST"])
    return app.test_client()


def post(client: FlaskClient, **changes: str) -> tuple[int, str]:
    """Post a signed event with these headers changed; return the status and the problem's kind."""
    headers, body = signed_request(CloudEvent({"source": "s", "type": "t"}, {"n": 1}), SECRET)
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    response = client.post("/", headers=headers, data=body)
    kind = response.json["type"].rpartition(":")[2] if response.is_json and response.json else ""
    return response.status_code, kind


def test_a_signed_event_passes() -> None:
    assert post(client_on("0.0.0.0"), Host="separate.example") == (200, "")


def test_an_event_with_another_signature_is_refused() -> None:
    assert post(client_on("0.0.0.0"), ce_signature="0") == (401, "unsigned-event")


@pytest.mark.parametrize(
    "header",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost"},
        {"Origin": "null"},
        *({"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "same-origin")),
    ],
    ids=lambda header: str(header),
)
def test_a_page_may_not_send_events(header: dict[str, str]) -> None:
    assert post(client_on("127.0.0.1"), **header) == (403, "cross-site")


def test_on_loopback_the_host_header_counts() -> None:
    assert post(client_on("127.0.0.1"), Host="127.0.0.1:8082") == (200, "")
    assert post(client_on("127.0.0.1"), Host="evil.example") == (403, "wrong-host")
    assert post(client_on("127.0.0.1"), Host="[") == (403, "wrong-host")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/json", "application/x-www-form-urlencoded", ""]
)
def test_a_structured_event_must_be_declared(content_type: str) -> None:
    response = client_on("0.0.0.0").post("/", data=STRUCTURED, content_type=content_type)
    assert response.status_code == 415
    assert response.json
    assert response.json["type"].endswith(":no-event")


def test_a_declared_structured_event_needs_a_signature() -> None:
    response = client_on("0.0.0.0").post(
        "/", data=STRUCTURED, content_type="application/cloudevents+json; charset=utf-8"
    )
    assert response.status_code == 401


def test_a_large_event_is_refused_unread() -> None:
    headers, _ = signed_request(CloudEvent({"source": "s", "type": "t"}, {}), SECRET)
    response = client_on("0.0.0.0").post("/", headers=headers, data=bytes(MAX_EVENT_BYTES + 1))
    assert response.status_code == 413


def test_probes_need_no_signature() -> None:
    client = client_on("127.0.0.1")
    assert client.get("/healthz", headers={"Host": "10.0.0.1"}).status_code == 200
    assert client.get("/readyz").status_code == 200


DEEP = b'{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": %s}'


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b"1", b'"x"', b"\xff\xfe", b"{"),
        DEEP % (b"[" * 100_000),
        DEEP % (b"9" * 5000),
        DEEP % b"1" + b"}",
        b'{"specversion": 1, "id": [], "source": {}, "type": null}',
        b'{"specversion": "1.0", "id": "1", "source": "s", "type": ["t"], "data": 1}',
    ],
    ids=lambda body: repr(body[:80]),
)
@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_what_cannot_be_read_is_refused_and_crashes_nothing(body: bytes, mode: str) -> None:
    headers = {"Content-Type": "application/cloudevents+json"}
    if mode == "binary":
        attributes = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
        headers = {f"ce-{name}": value for name, value in attributes.items()}
        headers["Content-Type"] = "application/json"
    response = client_on("127.0.0.1").post("/", headers=headers, data=body)
    assert response.status_code in (400, 401)


@pytest.mark.parametrize(
    "signature", [b'"\\ud800"', b'"\xc3\xbc"', b"[1]", b"{}", b"5", b"null", b"true"]
)
def test_a_signature_that_is_none_is_refused(signature: bytes) -> None:
    body = STRUCTURED[:-1] + b', "signature": ' + signature + b"}"
    headers = {"Content-Type": "application/cloudevents+json"}
    response = client_on("127.0.0.1").post("/", headers=headers, data=body)
    assert response.status_code == 401
