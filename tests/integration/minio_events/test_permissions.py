"""Each user has the permissions it needs, and no others: on the bus (nats.conf), in the store."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable, Iterable

import nats.errors
import pytest
from minio import Minio
from minio.error import S3Error
from nats.aio.client import Client

from microdemucs import store
from testing.stack import Stack

USERS = ("provision", "minio", "events", "separate", "upload", "notify", "logs")

# Subject → the users that may publish there.
PUBLISH: dict[str, set[str]] = {
    "minio.songs": {"minio", "events"},
    "minio.stems": {"minio", "events"},
    "separation.started": {"separate", "events"},
    "separation.range": {"separate", "events"},
    "separation.requeue": {"separate", "events"},
    "separation.again": {"separate", "events"},
    "deliveries.msg_1": {"notify", "events"},
    "dead.songs.j": {"events"},
    "logs.minio-events.info": {"events"},
    "logs.separate.info": {"separate"},
    "logs.upload.info": {"upload"},
    "logs.notify.info": {"notify"},
    "$KV.jobs.j": {"events", "separate", "upload"},
    "$KV.cancels.j": {"separate", "upload"},
    "$KV.leases.k": {"separate"},
    "$KV.results.r": {"events", "separate"},
    "$KV.webhooks.w": {"upload", "notify"},
    "$KV.notified.k": {"events", "provision"},
    "$KV.idempotency.k": {"upload"},
    "$JS.API.DIRECT.GET.KV_jobs.$KV.jobs.j": {"events", "separate", "upload"},
    "$JS.API.DIRECT.GET.KV_webhooks.$KV.webhooks.w": {"upload", "notify"},
    "$JS.API.DIRECT.GET.KV_idempotency.$KV.idempotency.k": {"upload"},
    "$JS.API.DIRECT.GET.KV_notified.$KV.notified.k": {"events"},
    "$JS.API.STREAM.MSG.GET.KV_webhooks": set(),
    "$JS.API.STREAM.MSG.GET.SONGS": set(),
    "$JS.API.STREAM.MSG.GET.DEAD": {"events"},
    "$JS.API.STREAM.MSG.DELETE.DEAD": {"events"},
    "$JS.API.STREAM.MSG.DELETE.SONGS": set(),
    "$JS.API.CONSUMER.MSG.NEXT.SONGS.separate": {"events"},
    "$JS.API.CONSUMER.MSG.NEXT.DELIVERIES.deliveries": {"events"},
    "$JS.API.CONSUMER.CREATE.KV_webhooks.x": {"upload", "notify"},
    "$JS.API.CONSUMER.CREATE.SONGS.x": set(),
    "$JS.API.CONSUMER.CREATE.DELIVERIES.x": set(),
    "$JS.API.STREAM.CREATE.X": set(),
    "$JS.API.STREAM.UPDATE.SONGS": set(),
    "$JS.API.STREAM.DELETE.SONGS": set(),
    "$JS.API.STREAM.PURGE.SONGS": set(),
    "$JS.ACK.SONGS.separate.1.1.1.1.1": {"events"},
    "_INBOX_events.x": set(),
    "anything": set(),
}
SUBSCRIBE: dict[str, set[str]] = {
    "logs.>": {"logs"},
    "_INBOX.x": {"minio"},
    ">": set(),
    "minio.songs": set(),
    "deliveries.*": set(),
    "$KV.webhooks.>": set(),
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


# (action, bucket) → the users that may do it.
STORE: dict[tuple[str, str], set[str]] = {
    ("list", "songs"): {"events", "separate", "upload"},
    ("list", "stems"): {"events", "separate", "upload", "notify"},
    ("list", "models"): {"separate", "upload"},
    ("get", "songs"): {"events", "separate"},
    ("get", "stems"): {"events", "separate", "upload", "notify"},
    ("get", "models"): {"separate"},
    ("put", "songs"): {"upload"},
    ("put", "stems"): {"separate"},
    ("put", "models"): set(),
    ("delete", "songs"): {"upload"},
    ("delete", "stems"): {"separate", "upload"},
    ("delete", "models"): set(),
    ("abort upload", "songs"): {"upload"},
    ("abort upload", "stems"): {"separate"},
    ("remove rules", "songs"): set(),
    ("remove bucket", "stems"): set(),
    ("make bucket", "new"): set(),
    ("set policy", "songs"): set(),
}
POLICY = json.dumps({"Version": "2012-10-17", "Statement": []})
ACTIONS: dict[str, Callable[[Minio, str], object]] = {
    "list": lambda client, bucket: list(client.list_objects(bucket)),
    "get": lambda client, bucket: client.get_object(bucket, "a").close(),
    "put": lambda client, bucket: client.put_object(bucket, "b", io.BytesIO(b"x"), 1),
    "delete": lambda client, bucket: client.remove_object(bucket, "a"),
    # minio has no public method that begins a multipart upload
    "abort upload": lambda client, bucket: client._abort_multipart_upload(
        bucket, "c", client._create_multipart_upload(bucket, "c", {})
    ),
    "remove rules": lambda client, bucket: client.delete_bucket_notification(bucket),
    "remove bucket": lambda client, bucket: client.remove_bucket(bucket),
    "make bucket": lambda client, bucket: client.make_bucket(bucket),
    "set policy": lambda client, bucket: client.set_bucket_policy(bucket, POLICY),
}


@pytest.mark.parametrize("user", ["events", "separate", "upload", "notify"])
def test_a_user_of_the_store_does_what_it_needs(stack: Stack, user: str) -> None:
    for bucket in ("songs", "stems", "models"):
        stack.store.put_object(bucket, "a", io.BytesIO(b"x"), 1)
    client = store.connect(stack.store_settings(user))
    done, refused = set(), set()
    for action, bucket in STORE:
        try:
            ACTIONS[action](client, bucket)
            done.add((action, bucket))
        except S3Error as error:
            refused.add(error.code)
    assert refused == {"AccessDenied"}
    assert done == {key for key, users in STORE.items() if user in users}
