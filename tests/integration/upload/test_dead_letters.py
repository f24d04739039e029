import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js.api import RawStreamMsg

from microdemucs.dead_letters import REASON, SUBJECT, TRIES
from testing.bridge_answers import dead_letters_answered
from testing.stack import Stack
from testing.web_client import WebClient

LETTERS = "/apiv1/admin/dead-letters"


@pytest.fixture
def bridge(stack: Stack) -> Iterator[None]:
    """Replays and drops dead letters."""
    with dead_letters_answered(stack):
        yield


def bury(stack: Stack, body: bytes, number: int = 1, subject: str = "minio.songs") -> str:
    """Store so many dead letters with this message, and return what they are about."""
    about = uuid.uuid4().hex

    async def publish(client: Client) -> None:
        headers = {REASON: "answer 422", SUBJECT: subject, TRIES: "3"}
        for _ in range(number):
            await client.jetstream().publish(f"dead.songs.{about}", body, headers=headers)

    stack.on_bus("bridge", publish)
    return about


def find(client: WebClient, about: str) -> list[dict[str, Any]]:
    """The dead letters about this, of all pages."""
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = client.get(f"{LETTERS}?after={after}").json
        assert len(page["dead_letters"]) <= 50
        found += [letter for letter in page["dead_letters"] if letter["about"] == about]
        after = page["next"]
    return found


def test_dead_letters_are_listed_oldest_first_page_by_page(stack: Stack, client: WebClient) -> None:
    found = find(client, bury(stack, b"{}", 51))
    assert len(found) == 51
    assert found == sorted(found, key=lambda letter: int(letter["number"]))
    assert (found[0]["reason"], found[0]["tries"]) == ("answer 422", 3)


@pytest.mark.parametrize(
    ("body", "message"),
    [(b'{"Records": []}', {"Records": []}), (b"no \xff JSON", "no \\xff JSON")],
    ids=["json", "text"],
)
def test_a_dead_letter_is_shown_with_its_message(
    stack: Stack, client: WebClient, body: bytes, message: object
) -> None:
    [letter] = find(client, bury(stack, body))
    shown = client.get(f"{LETTERS}/{letter['number']}").json
    assert shown == letter | {"message": message}


@pytest.mark.parametrize("number", ["0", "999999", "9" * 30, "x", "-1"])
def test_an_unknown_dead_letter_is_not_found(client: WebClient, number: str) -> None:
    response = client.get(f"{LETTERS}/{number}")
    assert response.status_code == 404
    assert response.json["type"].endswith(":unknown-dead-letter")


@pytest.mark.usefixtures("bridge")
def test_a_replayed_message_is_back_on_its_subject_and_no_dead_letter(
    stack: Stack, client: WebClient
) -> None:
    body = uuid.uuid4().hex.encode()
    about = bury(stack, body)
    [letter] = find(client, about)
    assert client.post(f"{LETTERS}/{letter['number']}/replay").status_code == 204
    assert find(client, about) == []

    async def last(bus: Client) -> RawStreamMsg:
        return await bus.jetstream().get_last_msg("SONGS", "minio.songs")

    assert stack.on_bus("provision", last).data == body


@pytest.mark.usefixtures("bridge")
def test_a_dropped_dead_letter_is_gone(stack: Stack, client: WebClient) -> None:
    about = bury(stack, b"{}", 2)
    first, second = find(client, about)
    assert client.delete(f"{LETTERS}/{first['number']}").status_code == 204
    assert find(client, about) == [second]


@pytest.mark.usefixtures("bridge")
@pytest.mark.parametrize("number", ["0", "999999", "9" * 15, "9" * 30, "x", "-1"])
def test_an_unknown_dead_letter_is_neither_replayed_nor_dropped(
    client: WebClient, number: str
) -> None:
    for response in (
        client.post(f"{LETTERS}/{number}/replay"),
        client.delete(f"{LETTERS}/{number}"),
    ):
        assert response.status_code == 404
        assert response.json["type"].endswith(":unknown-dead-letter")


@pytest.mark.usefixtures("bridge")
def test_a_message_that_no_stream_takes_stays_a_dead_letter(
    stack: Stack, client: WebClient
) -> None:
    about = bury(stack, b"{}", subject="minio.nowhere")
    [letter] = find(client, about)
    assert client.post(f"{LETTERS}/{letter['number']}/replay").status_code == 503
    assert find(client, about) == [letter]


def test_without_a_bridge_the_client_is_asked_to_try_again(stack: Stack, client: WebClient) -> None:
    about = bury(stack, b"{}")
    [letter] = find(client, about)
    response = client.delete(f"{LETTERS}/{letter['number']}")
    assert response.status_code == 503
    assert response.json["type"].endswith(":bridge-away")
    assert find(client, about) == [letter]


@pytest.mark.parametrize("query", ["after=x", "after=-1", f"after={'9' * 30}", "before=1"])
def test_a_bad_parameter_is_rejected(client: WebClient, query: str) -> None:
    assert client.get(f"{LETTERS}?{query}").status_code == 422
