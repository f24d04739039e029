import pytest

OPEN = ["/", "/healthz", "/readyz", "/apiv1/openapi.json", "/assets/page.css"]
API = [
    ("POST", "/apiv1/separate"),
    ("POST", "/apiv1/uploads"),
    ("GET", "/apiv1/queue"),
    ("GET", "/apiv1/jobs"),
    ("GET", "/apiv1/jobs/x"),
    ("GET", "/apiv1/jobs/x/events"),
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
def guarded(serve):
    """A client of a deployment with two tokens that everybody can reach."""
    return serve(HOST="0.0.0.0", API_TOKENS="first-token, second-token")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("token", ["first-token", "second-token"])
def test_each_token_opens_the_api(guarded, token):
    assert guarded.get("/apiv1/queue", headers=bearer(token)).status_code == 200
    lower = {"Authorization": f"bearer {token}"}
    assert guarded.get("/apiv1/queue", headers=lower).status_code == 200


@pytest.mark.parametrize(("method", "path"), API)
def test_no_route_of_the_api_answers_without_a_token(guarded, method, path):
    answer = guarded.open(path, method=method)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="micro-demucs"'
    assert answer.json["type"] == "urn:micro-demucs:problem:unauthorized"


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
def test_a_wrong_token_is_none(guarded, header):
    answer = guarded.get("/apiv1/queue", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("path", OPEN)
def test_page_probes_and_description_are_open(guarded, path):
    assert guarded.get(path).status_code == 200


def test_tokens_count_on_loopback_too_where_there_are_some(serve):
    assert serve(API_TOKENS="t").get("/apiv1/queue").status_code == 401


def test_without_tokens_the_api_is_closed_wherever_others_can_reach_it(serve):
    client = serve(HOST="0.0.0.0")
    closed = client.get("/apiv1/queue")
    assert (closed.status_code, closed.json["type"]) == (401, "urn:micro-demucs:problem:no-tokens")
    assert client.get("/apiv1/queue", headers=bearer("")).status_code == 401
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert "API_TOKENS" in ready.json["detail"]
    assert client.get("/healthz").status_code == 200
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_on_loopback_no_token_is_needed(serve, host):
    assert serve(HOST=host).get("/apiv1/queue").status_code == 200


def test_a_name_that_only_resolves_to_loopback_does_not_open_it(client):
    assert client.get("/apiv1/queue", headers={"Host": "127.0.0.1:8080"}).status_code == 200
    assert client.get("/apiv1/queue", headers={"Host": "[::1]:8080"}).status_code == 200
    assert client.get("/apiv1/queue", headers={"Host": "evil.example"}).status_code == 401


def test_another_sites_page_may_not_use_the_api(client):
    answer = client.get("/apiv1/remove/x/drums", headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, answer.json["type"]) == (403, "urn:micro-demucs:problem:cross-site")
    assert client.get("/apiv1/queue", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
