"""Each user of the bus has the permissions that it needs, and no others (nats.conf)."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client
from nats.js.errors import APIError

from testing.stack import Stack

USERS = (
    *("provision", "minio", "bridge", "intake", "sweep", "events"),
    *("separate", "upload", "notify", "logs"),
)
PROGRAMS = {"bridge", "intake", "sweep"}

STREAMS = ("SONGS", "QUEUE", "STEMS", "OUTBOX", "DELIVERIES", "DEAD", "ATTEMPTS")
BUCKETS = ("jobs", "cancels", "leases", "results", "webhooks", "idempotency", "notified")
ALL_STREAMS = (*STREAMS, *(f"KV_{bucket}" for bucket in BUCKETS))


def each(users: dict[str, set[str]], subject: str, names: Iterable[str]) -> dict[str, set[str]]:
    """Return who may publish on `subject` of each stream, bucket or consumer, by `users`."""
    return {subject.format(name): users.get(name, set()) for name in names}


# Subject → the users that may publish there.
PUBLISH: dict[str, set[str]] = {
    "minio.songs": {"minio", "sweep", "events", "bridge"},
    "minio.stems": {"minio", "sweep", "events", "bridge"},
    "separation.started": {"separate", "events", "bridge"},
    "separation.finished": {"separate", "bridge", "events"},
    "separation.range": {"separate", "events", "bridge"},
    "separation.requeue": {"separate", "upload", "events", "bridge"},
    "separation.again": {"separate", "events", "bridge"},
    "deliveries.new.r.w": {"notify"},
    "deliveries.due.r.w": {"events", "bridge"},
    "deliveries.wait.1": {"bridge"},
    "deliveries.msg_1": {"events", "bridge"},
    "ready.due.r.w": set(),
    "dead.songs.j": {"bridge"},
    "attempts.w": {"notify"},
    "dead-letters.replay": {"upload"},
    "dead-letters.drop": {"upload"},
    "queue.s": {"bridge"},
    "logs.minio-events.info": PROGRAMS,
    "logs.separate.info": {"separate"},
    "logs.upload.info": {"upload"},
    "logs.notify.info": {"notify"},
    "$KV.leases.deliveries": {"separate", "bridge"},
    "$KV.leases.songs": {"separate", "bridge"},
    "$KV.webhooks.callback.c": {"upload", "notify", "provision"},
    **each(
        {
            "jobs": PROGRAMS | {"separate", "upload"},
            "cancels": {"separate", "upload"},
            "leases": {"separate"},
            "results": {"sweep", "separate"},
            "webhooks": {"upload", "notify"},
            "notified": {"bridge", "provision"},
            "idempotency": {"upload"},
        },
        "$KV.{}.k",
        BUCKETS,
    ),
    "changes.jobs.j": set(),
    # one entry
    **each(
        {
            "KV_jobs": PROGRAMS | {"separate", "upload"},
            "KV_cancels": {"separate"},
            "KV_leases": {"bridge", "separate"},
            "KV_results": {"sweep", "separate"},
            "KV_webhooks": {"upload", "notify"},
            "KV_notified": {"sweep"},
            "KV_idempotency": {"upload"},
            "DEAD": {"sweep"},
        },
        "$JS.API.DIRECT.GET.{}.x.y",
        ALL_STREAMS,
    ),
    # any message of the stream
    **each(
        {
            "KV_jobs": {"sweep", "upload"},
            "KV_webhooks": {"upload", "notify"},
            "QUEUE": {"bridge"},
            "OUTBOX": {"bridge"},
            "DELIVERIES": {"bridge"},
            "DEAD": {"upload"},
            "ATTEMPTS": {"upload"},
        },
        "$JS.API.DIRECT.GET.{}",
        ALL_STREAMS,
    ),
    **each({"DEAD": {"events", "bridge"}}, "$JS.API.STREAM.MSG.GET.{}", ALL_STREAMS),
    **each(
        {
            "DEAD": {"events", "bridge"},
            **{name: {"bridge"} for name in ("QUEUE", "OUTBOX", "DELIVERIES")},
        },
        "$JS.API.STREAM.MSG.DELETE.{}",
        ALL_STREAMS,
    ),
    **each(
        {
            "KV_jobs": PROGRAMS | {"separate", "upload"},
            "KV_cancels": {"separate", "upload"},
            "KV_leases": {"bridge", "separate"},
            "KV_results": {"sweep", "separate"},
            "KV_webhooks": {"upload", "notify"},
            "KV_notified": {"bridge", "sweep"},
            "KV_idempotency": {"upload"},
            "QUEUE": {"bridge", "sweep"},
            "OUTBOX": {"bridge"},
            "DELIVERIES": {"bridge"},
            "DEAD": {"events"},
        },
        "$JS.API.STREAM.INFO.{}",
        ALL_STREAMS,
    ),
    **{
        f"$JS.API.CONSUMER.{call}": set()
        for stream in ALL_STREAMS
        for call in (
            *(f"CREATE.{stream}", f"CREATE.{stream}.x", f"CREATE.{stream}.x.a.b"),
            *(f"DURABLE.CREATE.{stream}.x", f"DELETE.{stream}.x", f"PAUSE.{stream}.x"),
            *(f"MSG.NEXT.{stream}.x", f"INFO.{stream}.x", f"NAMES.{stream}", f"LIST.{stream}"),
        )
    },
    "$JS.API.CONSUMER.MSG.NEXT.SONGS.separate": {"bridge"},
    "$JS.API.CONSUMER.MSG.NEXT.SONGS.intake": {"intake"},
    "$JS.API.CONSUMER.MSG.NEXT.STEMS.results": {"bridge"},
    "$JS.API.CONSUMER.INFO.SONGS.separate": {"sweep"},
    "$JS.API.CONSUMER.INFO.SONGS.intake": set(),
    "$JS.API.CONSUMER.INFO.STEMS.results": {"sweep"},
    "$JS.API.STREAM.NAMES": set(),
    "$JS.API.STREAM.LIST": set(),
    "$JS.API.INFO": set(),
    "$JS.FC.KV_jobs.x": set(),
    "$JS.API.STREAM.CREATE.X": set(),
    **each({}, "$JS.API.STREAM.UPDATE.{}", ALL_STREAMS),
    **each({}, "$JS.API.STREAM.DELETE.{}", ALL_STREAMS),
    **each({}, "$JS.API.STREAM.PURGE.{}", ALL_STREAMS),
    "$JS.ACK.SONGS.separate.1.1.1.1.1": {"bridge"},
    "$JS.ACK.SONGS.intake.1.1.1.1.1": {"intake"},
    "$JS.ACK.STEMS.results.1.1.1.1.1": {"bridge"},
    "$JS.ACK.SONGS.x.1.1.1.1.1": set(),
    "_INBOX_events.x": set(),
    "anything": set(),
}
SUBSCRIBE: dict[str, set[str]] = {
    "logs.>": {"logs"},
    "ready.>": {"bridge"},
    "dead-letters.*": {"bridge"},
    "_INBOX.x": {"minio"},
    ">": set(),
    "minio.songs": set(),
    "deliveries.*": set(),
    "$KV.webhooks.>": set(),
    "changes.jobs.>": {"upload"},
    "changes.webhooks.>": set(),
    "changes.>": set(),
    "$JS.API.>": set(),
    **{f"_INBOX_{user}.x": {user} for user in USERS if user not in ("minio", "logs")},
}


async def allowed(
    stack: Stack,
    user: str,
    use: Callable[[Client, str], Awaitable[object]],
    subjects: Iterable[str],
) -> set[str]:
    """Return the `subjects` that `user` may use."""
    errors: list[str] = []

    async def on_error(error: Exception) -> None:
        errors.append(str(error))

    settings = stack.bus_settings(user)
    client = Client()
    await client.connect(settings.url, user=user, password=settings.password, error_cb=on_error)
    try:
        accepted = set()
        for subject in subjects:
            before = len(errors)
            await use(client, subject)
            for _ in range(2):  # nats-py's ping overtakes what was published before it
                await client.flush()
            if len(errors) == before:
                accepted.add(subject)
        assert all("permissions violation" in error.lower() for error in errors), errors
        return accepted
    finally:
        await client.close()


async def publish(client: Client, subject: str) -> None:
    await client.publish(subject, b"{}")


async def subscribe(client: Client, subject: str) -> None:
    await client.subscribe(subject)


@pytest.mark.parametrize("user", USERS)
def test_a_user_of_the_bus_publishes_what_it_needs(bus_stack: Stack, user: str) -> None:
    """On a bus of the test's own: requests that are allowed have an effect."""
    expected = {subject for subject, users in PUBLISH.items() if user in users}
    if user == "provision":
        expected |= {subject for subject in PUBLISH if subject.startswith("$JS.API.")}
    # requests that delete streams come last
    subjects = sorted(PUBLISH, key=lambda subject: "STREAM." in subject)
    assert asyncio.run(allowed(bus_stack, user, publish, subjects)) == expected


@pytest.mark.parametrize("user", USERS)
def test_a_user_of_the_bus_subscribes_to_what_it_needs(bus_stack: Stack, user: str) -> None:
    expected = {subject for subject, users in SUBSCRIBE.items() if user in users}
    assert asyncio.run(allowed(bus_stack, user, subscribe, SUBSCRIBE)) == expected


def test_nobody_connects_to_the_bus_without_a_password(bus_stack: Stack) -> None:
    async def main() -> None:
        client = Client()
        with pytest.raises((nats.errors.Error, OSError)):
            await client.connect(bus_stack.environment.variables["NATS_URL"], allow_reconnect=False)

    asyncio.run(main())


# Where an answer of the server would do harm: in every stream, and at its own interface.
TARGETS = (
    *("minio.songs", "minio.stems", "separation.started", "separation.range"),
    *("separation.requeue", "deliveries.new.r.w", "deliveries.msg_2", "attempts.w"),
    *("dead.songs.j", "queue.s", "changes.jobs.j"),
    *(f"$KV.{bucket}.k" for bucket in BUCKETS),
    *("$JS.API.STREAM.PURGE.SONGS", "$JS.API.CONSUMER.DELETE.SONGS.separate"),
)
OWN_BUCKET = {
    "separate": "leases",
    "upload": "webhooks",
    "notify": "webhooks",
    "bridge": "jobs",
    "intake": "jobs",
    "sweep": "results",
}
# One subject of each stream.
SUBJECTS = {
    "SONGS": "minio.songs",
    "QUEUE": "queue.marker",
    "STEMS": "minio.stems",
    "OUTBOX": "deliveries.new.r.marker",
    "DELIVERIES": "deliveries.msg_marker",
    "DEAD": "dead.songs.marker",
    "ATTEMPTS": "attempts.marker",
    **{f"KV_{bucket}": f"$KV.{bucket}.marker" for bucket in BUCKETS},
}


async def write_to_each_stream(client: Client) -> dict[str, int]:
    """Write a message to each stream, and return the sequence number that it got.

    A stream stores messages in the order in which they arrive, but a moment later. So everything
    that arrived before this message has been stored, and its sequence number counts it.
    """
    sequences = {}
    for stream, subject in SUBJECTS.items():
        stored = await client.jetstream().publish(subject, b"{}")
        assert stored.stream == stream
        sequences[stream] = stored.seq
    return sequences


async def first_song_and_consumers(client: Client) -> tuple[int, set[str]]:
    """Return what the requests in TARGETS remove: the messages of SONGS, and a consumer."""
    js = client.jetstream()
    found = await js.consumers_info("SONGS")
    return (await js.stream_info("SONGS")).state.first_seq, {consumer.name for consumer in found}


def new_messages_by_answers(
    stack: Stack, user: str, bucket: str, subjects: Iterable[str]
) -> dict[str, int]:
    """Direct answers to `subjects` as `user`; return how many messages each stream got by it."""
    before = stack.on_bus("tests", write_to_each_stream)
    stack.on_bus(user, lambda client: direct_answers_to(client, bucket, subjects))
    after = stack.on_bus("tests", write_to_each_stream)
    return {stream: after[stream] - before[stream] - 1 for stream in SUBJECTS}


async def direct_answers_to(client: Client, bucket: str, subjects: Iterable[str]) -> None:
    """Let the server send its answers to `subjects`, and wait until it has sent them.

    Some requests to the server must have JSON as their body, others must have none.
    """
    entries = await client.jetstream().key_value(bucket)
    await entries.put("json", b"{}")
    await entries.put("empty", b"")
    for request in (
        f"$JS.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.json",
        f"$JS.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.empty",
        f"$JS.API.STREAM.INFO.KV_{bucket}",
    ):
        for reply in subjects:
            await client.publish(request, b"", reply=reply)
        await client.request(request, b"")  # answered after the others


@pytest.mark.parametrize("user", OWN_BUCKET)
def test_no_answer_of_the_server_reaches_a_stream(bus_stack: Stack, user: str) -> None:
    """The server sends an answer to any subject that the client names, and as itself."""
    bucket = OWN_BUCKET[user]
    subjects = [
        target
        for target in TARGETS
        if user not in PUBLISH.get(target, set()) and not target.startswith(f"$KV.{bucket}.")
    ]
    assert len(subjects) > 8
    new = new_messages_by_answers(bus_stack, user, bucket, subjects)
    assert {stream for stream, messages in new.items() if messages} == {f"KV_{bucket}"}
    assert new[f"KV_{bucket}"] == 2  # its own entries
    first_song, consumers = bus_stack.on_bus("tests", first_song_and_consumers)
    assert first_song == 1
    assert "separate" in consumers


def test_an_answer_of_the_server_reaches_all_streams_of_the_same_account(bus_stack: Stack) -> None:
    """So this attack works where there is no account of its own: the test above tries it right."""
    new = new_messages_by_answers(bus_stack, "provision", "notified", TARGETS)
    assert all(messages >= 2 for messages in new.values()), new
    first_song, consumers = bus_stack.on_bus("tests", first_song_and_consumers)
    assert first_song > 1
    assert "separate" not in consumers


@pytest.mark.parametrize(
    ("user", "bucket"),
    [
        ("upload", "webhooks"),
        ("notify", "webhooks"),
        ("upload", "jobs"),
        ("separate", "leases"),
        ("bridge", "jobs"),
        ("intake", "jobs"),
        ("sweep", "results"),
    ],
)
def test_no_message_empties_a_bucket(bus_stack: Stack, user: str, bucket: str) -> None:
    async def attack(client: Client) -> None:
        entries = await client.jetstream().key_value(bucket)
        await entries.put("first", b"1")
        for rollup in ("all", "sub"):
            with pytest.raises(APIError, match="rollup"):
                await client.jetstream().publish(
                    f"$KV.{bucket}.second", b"2", headers={"Nats-Rollup": rollup}
                )
        assert (await entries.get("first")).value == b"1"

    bus_stack.on_bus(user, attack)


@pytest.mark.parametrize("header", ["Nats-Rollup", "Nats-Schedule", "Nats-TTL"])
def test_no_message_removes_deliveries_of_others(bus_stack: Stack, header: str) -> None:
    """Scheduled messages require roll-ups, so notify writes to a stream without them."""
    value = {"Nats-Rollup": "all", "Nats-Schedule": "@every 1s", "Nats-TTL": "1s"}[header]

    async def attack(client: Client) -> None:
        js = client.jetstream()
        await js.publish("deliveries.new.r.first", b"1")
        for subject in ("deliveries.new.r.first", "deliveries.new.r.second"):
            with pytest.raises(APIError):
                await js.publish(subject, b"2", headers={header: value})

    async def messages(client: Client) -> int:
        return (await client.jetstream().stream_info("OUTBOX")).state.messages

    bus_stack.on_bus("notify", attack)
    assert bus_stack.on_bus("tests", messages) == 1


@pytest.mark.parametrize("scheduling", [{}, {"allow_rollup_hdrs": False}, {"deny_purge": True}])
def test_the_server_has_no_scheduled_messages_without_roll_ups(
    bus_stack: Stack, scheduling: dict[str, bool]
) -> None:
    """If this fails, the stream OUTBOX is no longer needed."""
    config = {"name": "X", "subjects": ["x"], "storage": "file", "allow_msg_schedules": True}

    async def create(client: Client) -> dict[str, Any]:
        body = json.dumps(config | scheduling | {"pedantic": True}).encode()
        created: dict[str, Any] = json.loads(
            (await client.request("$JS.API.STREAM.CREATE.X", body)).data
        )
        return created

    assert "roll-ups" in bus_stack.on_bus("tests", create)["error"]["description"]
