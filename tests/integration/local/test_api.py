import json

import pytest

from local import api
from local.api import Api
from testing.http_receiver import HttpReceiver, Request, Response

NO_JOBS: dict[str, object] = {"jobs": []}


class JsonServer(HttpReceiver):
    """Responds with these statuses and documents in turn."""

    def __init__(self, *responses: tuple[int, object]) -> None:
        self._responses = list(responses)
        super().__init__(self._next)

    def _next(self, _: Request) -> Response:
        status, document = self._responses.pop(0)
        self.content = json.dumps(document).encode()
        return status, {"Content-Type": "application/json"}


def job(state: str, finished: str = "") -> dict[str, object]:
    return {"jobs": [{"state": state, "finished": finished}]}


def test_a_call_returns_the_json_of_the_response() -> None:
    with JsonServer((200, {"id": "w1"})) as server:
        assert Api(server.url).call("POST", "/apiv1/webhooks", {"url": "x"}) == {"id": "w1"}
    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/apiv1/webhooks")
    assert json.loads(request.body) == {"url": "x"}


def test_an_empty_response_is_none() -> None:
    with JsonServer((204, None)) as server:
        assert Api(server.url).call("DELETE", "/apiv1/webhooks/w1") is None


def test_a_problem_ends_the_program_with_its_text() -> None:
    with (
        JsonServer((422, {"title": "This URL is not allowed"})) as server,
        pytest.raises(SystemExit, match=r"POST /x failed: .*This URL is not allowed"),
    ):
        Api(server.url).call("POST", "/x", {})


def test_a_job_is_followed_until_it_is_finished() -> None:
    responses = [NO_JOBS, job("running"), job("done", "2026-11-25T00:00:00Z")]
    with JsonServer(*((200, response) for response in responses)) as server:
        states = [record["state"] for record in Api(server.url).follow_job("a ü.mp3")]
    assert states == ["running", "done"]
    assert server.requests[0].path == "/apiv1/jobs?key=a%20%C3%BC.mp3"


def test_a_song_without_a_job_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_JOB_APPEARS_S", 0.2)
    with (
        JsonServer(*[(200, NO_JOBS)] * 20) as server,
        pytest.raises(SystemExit, match=r"no job for a\.mp3 after 0\.2 s"),
    ):
        list(Api(server.url).follow_job("a.mp3"))
