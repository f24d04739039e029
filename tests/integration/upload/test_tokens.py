from collections.abc import Callable

import pytest

from testing.web_client import WebClient

PUBLIC_PATHS = [
    "/",
    "/healthz",
    "/readyz",
    "/apiv1/openapi.json",
    "/apiv1/service",
    "/assets/page.css",
]
API = [
    ("POST", "/apiv1/separate"),
    ("POST", "/apiv1/uploads"),
    ("GET", "/apiv1/queue"),
    ("GET", "/apiv1/jobs"),
    ("GET", "/apiv1/jobs/x"),
    ("GET", "/apiv1/jobs/x/events"),
    ("GET", "/apiv1/jobs/x/live/drums"),
    ("DELETE", "/apiv1/jobs/x"),
    ("GET", "/apiv1/track/x/drums"),
    ("GET", "/apiv1/remove/x/drums"),
    ("DELETE", "/apiv1/remove/x/drums"),
    ("GET", "/apiv1/webhooks"),
    ("POST", "/apiv1/webhooks"),
    ("PATCH", "/apiv1/webhooks/x"),
    ("GET", "/apiv1/nothing"),
]


@pytest.fixture(scope="module")
def guarded(serve: Callable[..., WebClient]) -> WebClient:
    """A client of a deployment with two tokens that other machines can reach."""
    return serve(HOST="0.0.0.0", API_TOKENS="first-token, second-token")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("token", ["first-token", "second-token"])
def test_each_token_opens_the_api(guarded: WebClient, token: str) -> None:
    assert guarded.get("/apiv1/queue", headers=bearer(token)).status_code == 200
    lower_case = {"Authorization": f"bearer {token}"}
    assert guarded.get("/apiv1/queue", headers=lower_case).status_code == 200


@pytest.mark.parametrize(("method", "path"), API)
def test_every_route_of_the_api_requires_a_token(
    guarded: WebClient, method: str, path: str
) -> None:
    response = guarded.open(path, method=method)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="micro-demucs"'
    assert response.json["type"] == "urn:micro-demucs:problem:unauthorized"
    assert response.json["title"] == "A token is required"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer wrong",
        "Bearer first-toke",
        "Bearer ",
        "Basic first-token",
        "first-token",
        "Bearer ä",
    ],
)
def test_a_wrong_token_is_rejected_and_not_shown(guarded: WebClient, header: str) -> None:
    response = guarded.get("/apiv1/queue", headers={"Authorization": header})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    assert "first" not in response.text
    assert "wrong" not in response.text


@pytest.mark.parametrize("path", PUBLIC_PATHS)
def test_page_probes_and_description_need_no_token(guarded: WebClient, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_tokens_are_required_on_loopback_too_if_some_are_set(
    serve: Callable[..., WebClient],
) -> None:
    assert serve(API_TOKENS="t").get("/apiv1/queue").status_code == 401


def test_without_tokens_the_api_is_closed_if_other_machines_can_reach_it(
    serve: Callable[..., WebClient],
) -> None:
    client = serve(HOST="0.0.0.0")
    closed = client.get("/apiv1/queue")
    assert (closed.status_code, closed.json["type"]) == (401, "urn:micro-demucs:problem:no-tokens")
    assert closed.json["detail"].startswith("the operator must set API_TOKENS, or call the API")
    assert client.get("/apiv1/queue", headers=bearer("")).status_code == 401
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert "HOST is 0.0.0.0" in ready.json["detail"]
    assert "API_TOKENS" in ready.json["detail"]
    assert client.get("/healthz").status_code == 200
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_on_loopback_no_token_is_required(serve: Callable[..., WebClient], host: str) -> None:
    assert serve(HOST=host).get("/apiv1/queue").status_code == 200


def test_a_foreign_host_name_does_not_count_as_loopback(client: WebClient) -> None:
    assert client.get("/apiv1/queue", headers={"Host": "127.0.0.1:8080"}).status_code == 200
    assert client.get("/apiv1/queue", headers={"Host": "[::1]:8080"}).status_code == 200
    assert client.get("/apiv1/queue", headers={"Host": "evil.example"}).status_code == 401


def test_a_page_of_another_site_may_not_use_the_api(client: WebClient) -> None:
    response = client.get("/apiv1/remove/x/drums", headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403
    assert response.json["type"] == "urn:micro-demucs:problem:cross-site"
    same_origin = client.get("/apiv1/queue", headers={"Sec-Fetch-Site": "same-origin"})
    assert same_origin.status_code == 200
