"""A real bridge and intake between the bus and the functions of a test."""

from collections.abc import Iterator
from contextlib import contextmanager

from nats.aio.client import Client

from local.ports import free_port
from microdemucs.bus import QUEUE
from microdemucs.dead_letters import DeadLetter
from microdemucs.events import ObjectCreated, notification
from microdemucs.jobs import JobRecord, job_id
from minio_events.dead_letters import list_dead_letters
from testing.stack import Stack, has_acknowledged_all
from testing.waiting import wait_until
from tests.integration.minio_events.function_server import FunctionServer

TIME = "2026-11-22T17:25:34.544Z"


def new_song(key: str, etag: str = "e1") -> ObjectCreated:
    """Return a song as a notification describes it."""
    return ObjectCreated("songs", key, 10, etag, time=TIME)


def publish(stack: Stack, *messages: tuple[str, bytes]) -> None:
    """Publish each (subject, body) as the user of the bridge."""

    async def send(client: Client) -> None:
        for subject, body in messages:
            await client.jetstream().publish(subject, body)

    stack.on_bus("tests", send)


def notify(stack: Stack, *songs: ObjectCreated, request_id: str = "") -> None:
    """Publish a notification of each song; with `request_id`, those of one song are copies."""
    publish(
        stack,
        *(
            ("minio.songs", notification(song, request_id or f"r-{song.key}-{song.etag}"))
            for song in songs
        ),
    )


@contextmanager
def running_bridge(
    stack: Stack,
    separate: FunctionServer | str,
    notify_function: FunctionServer | None = None,
    **settings: str,
) -> Iterator[None]:
    """Run the bridge and the intake until the block ends. `separate` may be a URL."""
    nobody = f"http://127.0.0.1:{free_port()}"
    urls = {
        "SEPARATE_URL": separate if isinstance(separate, str) else separate.url,
        "NOTIFY_URL": notify_function.url if notify_function else nobody,
    }
    before = len(stack.logged("bridge started"))
    stack.start("bridge", "intake", **urls | settings)
    wait_until(lambda: len(stack.logged("bridge started")) > before, 30, "the bridge has started")
    yield
    for component in {"bridge", "intake"} & set(stack.processes):
        stack.stop(component)


def dead_letters_of(stack: Stack) -> list[DeadLetter]:
    """Return all dead letters."""
    found: list[DeadLetter] = stack.on_bus("tests", list_dead_letters)
    return found


def has_queued(stack: Stack, count: int) -> bool:
    """Return whether so many messages are in the queues of all submitters, and the bridge knows.

    The bus has a message in its queue before the bridge has the answer; it acknowledges afterwards.
    """

    async def read(client: Client) -> bool:
        is_copied = await has_acknowledged_all(client, "SONGS", "separate")
        queue = await client.jetstream().stream_info(QUEUE)
        return is_copied and queue.state.messages == count

    return bool(stack.on_bus("tests", read))


def job_record(stack: Stack, song: ObjectCreated) -> JobRecord:
    """Return the record of the song's job."""

    async def read(client: Client) -> JobRecord:
        jobs = await client.jetstream().key_value("jobs")
        return JobRecord.read((await jobs.get(job_id(song))).value or b"")

    record: JobRecord = stack.on_bus("tests", read)
    return record
