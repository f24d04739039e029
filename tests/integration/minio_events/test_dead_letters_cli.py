"""The command `dead-letters`: list, show, replay, drop."""

import json

import pytest
from nats.aio.client import Client

from microdemucs.events import notification
from minio_events.dead_letters import subject_token
from testing.stack import Stack
from tests.integration.minio_events.bridge_process import dead_letters_of, new_song
from tests.integration.minio_events.program import failure_line, run_program

SONG = notification(new_song("ü.mp3"), "r1")
LETTERS = [
    ("songs", "job1", "answer 422", "minio.songs", SONG),
    ("results", "a.mp3/manifest.json", "answer 400", "minio.stems", b'{"Records": []}'),
    ("deliveries", "1", "malformed: not JSON", "deliveries.x", b"no \xff JSON"),
]


@pytest.fixture
def three_letters(bus_stack: Stack) -> Stack:
    """A stack with three dead letters."""

    async def send(client: Client) -> None:
        for kind, about, reason, subject, body in LETTERS:
            headers = {
                "Dead-Reason": reason,
                "Dead-Subject": subject,
                "Dead-Tries": "3",
                "Dead-Time": "2026",
            }
            dead_subject = f"dead.{kind}.{subject_token(about)}"
            await client.jetstream().publish(dead_subject, body, headers=headers)

    bus_stack.on_bus("tests", send)
    return bus_stack


def output(stack: Stack, *words: str, command: str = "dead-letters") -> list[str]:
    """Return the lines that the command prints."""
    completed = run_program(stack, "events", [command, *words])
    assert (completed.returncode, completed.stderr) == (0, ""), completed
    return completed.stdout.splitlines()


def test_list_shows_each_letter_and_their_number(three_letters: Stack) -> None:
    lines = output(three_letters, "list")
    assert [line.split()[:4] for line in lines[:-1]] == [
        ["1", "2026", "songs", "job1"],
        ["2", "2026", "results", subject_token("a.mp3/manifest.json")],
        ["3", "2026", "deliveries", "1"],
    ]
    assert lines[2].endswith("malformed: not JSON")
    assert lines[-1] == "3 dead letters"
    assert len(dead_letters_of(three_letters)) == 3


def test_the_old_name_of_the_command_works(three_letters: Stack) -> None:
    assert output(three_letters, "list", command="deadletters") == output(three_letters, "list")


def test_show_prints_the_reason_and_the_message(three_letters: Stack) -> None:
    lines = output(three_letters, "show", "1")
    assert lines[:2] == ["minio.songs: answer 422", "failed for good at 2026, after 3 tries"]
    assert json.loads("\n".join(lines[2:])) == json.loads(SONG)


def test_show_prints_a_message_that_is_not_json_escaped(three_letters: Stack) -> None:
    assert output(three_letters, "show", "3")[2:] == [r"no \xff JSON"]


def test_drop_deletes_one_letter(three_letters: Stack) -> None:
    assert output(three_letters, "drop", "2") == ["2: dropped"]
    assert [letter.number for letter in dead_letters_of(three_letters)] == [1, 3]


def test_drop_deletes_all_letters(three_letters: Stack) -> None:
    assert output(three_letters, "drop", "all") == ["1: dropped", "2: dropped", "3: dropped"]
    assert output(three_letters, "list") == ["0 dead letters"]
    assert output(three_letters, "drop", "all") == []


def test_replay_publishes_the_message_again(three_letters: Stack) -> None:
    assert output(three_letters, "replay", "1") == ["1: replayed"]
    assert [letter.number for letter in dead_letters_of(three_letters)] == [2, 3]

    async def last_song(client: Client) -> bytes | None:
        return (await client.jetstream().get_last_msg("SONGS", "minio.songs")).data

    assert three_letters.on_bus("provision", last_song) == SONG


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["show", "9"], "there is no dead letter 9; see `list`"),
        (["drop", "1", "x"], "there is no dead letter x; see `list`"),
        (["replay"], "replay needs numbers from `list`, or all"),
    ],
)
def test_a_wrong_number_is_one_line_and_changes_nothing(
    three_letters: Stack, words: list[str], line: str
) -> None:
    completed = run_program(three_letters, "events", ["dead-letters", *words])
    assert failure_line(completed) == line
    assert len(dead_letters_of(three_letters)) == 3
