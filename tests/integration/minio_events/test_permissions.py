"""Each user of the bus has the permissions that it needs, and no others (nats.conf)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import nats.errors
import pytest
from nats.aio.client import Client
from nats.js.errors import APIError

from testing.stack import Stack

USERS = ("provision", "minio", "events", "separate", "upload", "notify", "logs")

# Subject → the users that may publish there.
PUBLISH: dict[str, set[str]] = {
    "minio.songs": {"minio", "events"},
    "minio.stems": {"minio", "events"},
    "separation.started": {"separate", "events"},
    "separation.finished": {"separate", "events"},
    "separation.range": {"separate", "events"},
    "separation.requeue": {"separate", "upload", "events"},
    "separation.again": {"separate", "events"},
    "deliveries.due.r.w": {"notify", "events"},
    "deliveries.wait.1": {"events"},
    "deliveries.msg_1": {"events"},
    "ready.due.r.w": set(),
    "dead.songs.j": {"events"},
    "queue.s": {"events"},
    "logs.minio-events.info": {"events"},
    "logs.separate.info": {"separate"},
    "logs.upload.info": {"upload"},
    "logs.notify.info": {"notify"},
    "$KV.jobs.j": {"events", "separate", "upload"},
    "$KV.cancels.j": {"separate", "upload"},
    "$KV.leases.k": {"separate"},
    "$KV.leases.deliveries": {"separate", "events"},
    "$KV.leases.songs": {"separate", "events"},
    "$KV.results.r": {"events", "separate"},
    "$KV.webhooks.w": {"upload", "notify"},
    "$KV.webhooks.callback.c": {"upload", "notify", "provision"},
    "$KV.notified.k": {"events", "provision"},
    "$KV.idempotency.k": {"upload"},
    "changes.jobs.j": set(),
    "$JS.API.DIRECT.GET.KV_jobs.$KV.jobs.j": {"events", "separate", "upload"},
    "$JS.API.DIRECT.GET.KV_jobs": {"events", "upload"},
    "$JS.API.DIRECT.GET.KV_webhooks": {"upload", "notify"},
    "$JS.API.DIRECT.GET.KV_leases": set(),
    "$JS.API.DIRECT.GET.KV_results": set(),
    "$JS.API.DIRECT.GET.SONGS": set(),
    "$JS.API.DIRECT.GET.DEAD": {"events"},
    "$JS.API.DIRECT.GET.KV_leases.$KV.leases.k": {"events", "separate"},
    "$JS.API.DIRECT.GET.KV_webhooks.$KV.webhooks.w": {"upload", "notify"},
    "$JS.API.DIRECT.GET.DELIVERIES": {"events"},
    "$JS.API.DIRECT.GET.KV_idempotency.$KV.idempotency.k": {"upload"},
    "$JS.API.DIRECT.GET.KV_notified.$KV.notified.k": {"events"},
    "$JS.API.STREAM.MSG.GET.KV_webhooks": set(),
    "$JS.API.STREAM.MSG.GET.SONGS": set(),
    "$JS.API.STREAM.MSG.GET.DEAD": {"events"},
    "$JS.API.STREAM.MSG.DELETE.DEAD": {"events"},
    "$JS.API.STREAM.MSG.DELETE.DELIVERIES": {"events"},
    "$JS.API.DIRECT.GET.QUEUE": {"events"},
    "$JS.API.STREAM.MSG.DELETE.QUEUE": {"events"},
    "$JS.API.CONSUMER.CREATE.QUEUE.x": set(),
    "$JS.API.STREAM.MSG.DELETE.SONGS": set(),
    "$JS.API.CONSUMER.MSG.NEXT.SONGS.separate": {"events"},
    **{
        f"$JS.API.CONSUMER.{call}": set()
        for stream in ("SONGS", "DELIVERIES", "KV_jobs", "KV_webhooks")
        for call in (
            *(f"CREATE.{stream}", f"CREATE.{stream}.x", f"CREATE.{stream}.x.a.b"),
            *(f"DURABLE.CREATE.{stream}.x", f"DELETE.{stream}.x", f"PAUSE.{stream}.x"),
        )
    },
    "$JS.API.CONSUMER.INFO.SONGS.separate": {"events"},
    "$JS.API.CONSUMER.INFO.KV_jobs.x": set(),
    "$JS.API.CONSUMER.NAMES.SONGS": set(),
    "$JS.API.STREAM.NAMES": set(),
    "$JS.API.INFO": set(),
    "$JS.API.STREAM.INFO.SONGS": {"events"},
    "$JS.API.STREAM.INFO.KV_webhooks": {"upload", "notify"},
    "$JS.API.STREAM.INFO.KV_leases": {"events", "separate"},
    "$JS.FC.KV_jobs.x": set(),
    "$JS.API.STREAM.CREATE.X": set(),
    "$JS.API.STREAM.UPDATE.SONGS": set(),
    "$JS.API.STREAM.DELETE.SONGS": set(),
    "$JS.API.STREAM.PURGE.SONGS": set(),
    "$JS.API.STREAM.PURGE.KV_webhooks": {"upload"},
    "$JS.API.STREAM.PURGE.DELIVERIES": set(),
    "$JS.ACK.SONGS.separate.1.1.1.1.1": {"events"},
    "_INBOX_events.x": set(),
    "anything": set(),
}
SUBSCRIBE: dict[str, set[str]] = {
    "logs.>": {"logs"},
    "ready.>": {"events"},
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
    *("separation.requeue", "deliveries.msg_2", "dead.songs.k", "changes.jobs.j"),
    *(f"$KV.{bucket}.k" for bucket in ("jobs", "cancels", "leases", "results", "webhooks")),
    *("$KV.idempotency.k", "$KV.notified.k"),
    *("$JS.API.STREAM.PURGE.SONGS", "$JS.API.CONSUMER.DELETE.SONGS.separate"),
)
OWN_BUCKET = {"separate": "leases", "upload": "webhooks", "notify": "webhooks"}


async def states(client: Client) -> dict[str, tuple[int, int]]:
    """Return the last sequence number and the number of consumers of each stream."""
    streams = await client.jetstream().streams_info()
    return {
        info.config.name or "": (info.state.last_seq, info.state.consumer_count) for info in streams
    }


@pytest.mark.parametrize("user", OWN_BUCKET)
def test_no_answer_of_the_server_reaches_a_stream(bus_stack: Stack, user: str) -> None:
    """The server sends an answer to any subject that the client names, and as itself."""
    bucket = OWN_BUCKET[user]
    subjects = [
        target
        for target in TARGETS
        if user not in PUBLISH.get(target.replace(".k", ".j"), set())
        and not target.startswith(f"$KV.{bucket}.")
    ]

    async def attack(client: Client) -> None:
        entries = await client.jetstream().key_value(bucket)
        await entries.put("harmless", b'{"Records": []}')
        before = bus_stack.on_bus("provision", states)
        for reply in subjects:
            for request, payload in (
                (f"$JS.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.harmless", b""),
                (f"$JS.API.STREAM.INFO.KV_{bucket}", b""),
            ):
                await client.publish(request, payload, reply=reply)
        # after an answer to itself, the server has sent the others, too
        assert (await entries.get("harmless")).value
        await entries.put("harmless", b"again")
        after = bus_stack.on_bus("provision", states)
        last, consumers = before[f"KV_{bucket}"]
        assert after == before | {f"KV_{bucket}": (last + 1, consumers)}

    assert len(subjects) > 8
    bus_stack.on_bus(user, attack)


def test_an_answer_is_sent_to_any_subject_of_the_same_account(bus_stack: Stack) -> None:
    """So this attack works where there is no account of its own: the test above tries it right."""

    async def attack(client: Client) -> None:
        before = await states(client)
        notified = await client.jetstream().key_value("notified")
        await notified.put("harmless", b"x")
        request = "$JS.API.DIRECT.GET.KV_notified.$KV.notified.harmless"
        await client.publish(request, b"", reply="minio.songs")
        await notified.get("harmless")
        assert (await states(client))["SONGS"][0] == before["SONGS"][0] + 1

    bus_stack.on_bus("provision", attack)


@pytest.mark.parametrize(
    ("user", "bucket"),
    [
        ("upload", "webhooks"),
        ("notify", "webhooks"),
        ("upload", "jobs"),
        ("separate", "leases"),
        ("events", "notified"),
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
