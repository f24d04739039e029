from collections.abc import Iterator

import cloudevents.exceptions
import flask
import pytest
from flask.testing import FlaskClient

from microdemucs import service, shutdown
from microdemucs.problems import CONTENT_TYPE, Problem, RetryLater
from microdemucs.settings import BadSetting

ERRORS: dict[str, Exception] = {
    "problem": Problem(409, "taken", "The name is taken", "it is 'x'"),
    "later": RetryLater("bus-away", "The bus is away", after=2.6),
    "busy": RetryLater("busy", "Another song is in work", after=1, busy=True),
    "setting": BadSetting("MODEL is 'x': must be y"),
    "event": cloudevents.exceptions.MissingRequiredFields("secret detail"),
    "crash": ZeroDivisionError("secret detail"),
}


@pytest.fixture
def client() -> Iterator[FlaskClient]:
    app = flask.Flask("test")
    not_ready: list[Problem] = [RetryLater("bus-away", "The bus is away")]

    def check_ready() -> None:
        if not_ready:
            raise not_ready.pop()

    service.install_probes_and_errors(app, check_ready)

    @app.get("/error/<name>")
    def error(name: str) -> str:
        raise ERRORS[name]

    @app.post("/empty")
    def empty() -> str:
        service.answer_without_content()
        return "done"

    yield app.test_client()
    shutdown.stopping.clear()


def test_a_process_is_alive_before_it_is_ready(client: FlaskClient) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    assert client.get("/readyz").status_code == 200


def test_a_process_that_is_stopping_is_not_ready(client: FlaskClient) -> None:
    shutdown.stopping.set()
    response = client.get("/readyz")
    assert response.json
    assert response.json["type"] == "urn:micro-demucs:problem:stopping"


@pytest.mark.parametrize(
    ("name", "status", "kind", "retry_after"),
    [
        ("problem", 409, "taken", None),
        ("later", 503, "bus-away", "3"),
        ("busy", 429, "busy", "1"),
        ("setting", 503, "bad-setting", None),
        ("event", 400, "no-event", None),
        ("crash", 500, "crash", None),
    ],
)
def test_every_error_is_a_problem(
    client: FlaskClient, name: str, status: int, kind: str, retry_after: str | None
) -> None:
    response = client.get(f"/error/{name}")
    assert (response.status_code, response.content_type) == (status, CONTENT_TYPE)
    assert response.json
    assert response.json["type"] == f"urn:micro-demucs:problem:{kind}"
    assert response.headers.get("Retry-After") == retry_after
    assert "secret detail" not in response.text


def test_an_unknown_route_is_a_problem_that_does_not_repeat_the_request(
    client: FlaskClient,
) -> None:
    response = client.get("/no-such-route")
    assert (response.status_code, response.content_type) == (404, CONTENT_TYPE)
    assert "no-such-route" not in response.text


def test_a_wrong_method_names_the_right_ones(client: FlaskClient) -> None:
    response = client.post("/healthz")
    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]


def test_a_success_without_content_is_204(client: FlaskClient) -> None:
    response = client.post("/empty")
    assert (response.status_code, response.data) == (204, b"")
