import uuid
from typing import Any

import pytest
from nats.aio.client import Client

from microdemucs.dead_letters import REASON, SUBJECT, TRIES
from testing.stack import Stack
from testing.web_client import WebClient

LETTERS = "/apiv1/admin/dead-letters"


def bury(stack: Stack, body: bytes, number: int = 1) -> str:
    """Store so many dead letters with this message, and return what they are about."""
    about = uuid.uuid4().hex

    async def publish(client: Client) -> None:
        headers = {REASON: "answer 422", SUBJECT: "minio.songs", TRIES: "3"}
        for _ in range(number):
            await client.jetstream().publish(f"dead.songs.{about}", body, headers=headers)

    stack.on_bus("events", publish)
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


@pytest.mark.parametrize("query", ["after=x", "after=-1", f"after={'9' * 30}", "before=1"])
def test_a_bad_parameter_is_rejected(client: WebClient, query: str) -> None:
    assert client.get(f"{LETTERS}?{query}").status_code == 422
