"""Each part may do what it needs, and nothing else: at the bus (nats.conf) and in the store."""

import asyncio
import io
import json

import nats.errors
import pytest
from minio.error import S3Error
from nats.aio.client import Client

from microdemucs import store
from microdemucs.settings import StoreSettings

USERS = ("provision", "minio", "events", "separate", "upload", "notify", "logs")

# What is there to be published, and who may.
PUBLISH = {
    "minio.songs": {"minio", "events"},
    "minio.stems": {"minio", "events"},
    "separation.started": {"separate", "events"},
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
    "$KV.told.k": {"events"},
    "$JS.API.DIRECT.GET.KV_jobs.$KV.jobs.j": {"events", "separate", "upload"},
    "$JS.API.DIRECT.GET.KV_webhooks.$KV.webhooks.w": {"upload", "notify"},
    "$JS.API.DIRECT.GET.KV_told.$KV.told.k": {"events"},
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
SUBSCRIBE = {
    "logs.>": {"logs"},
    "_INBOX.x": {"minio"},
    ">": set(),
    "minio.songs": set(),
    "deliveries.*": set(),
    "$KV.webhooks.>": set(),
    "$JS.API.>": set(),
    **{f"_INBOX_{user}.x": {user} for user in USERS if user not in ("minio", "logs")},
}


async def allowed(machine, user, do, subjects):
    """The `subjects` of which the server says nothing to `user`."""
    refused = []

    async def heard(error):
        refused.append(str(error))

    client = Client()
    await client.connect(
        machine.environment.variables["NATS_URL"],
        user=user,
        password=machine.environment.variables[f"NATS_{user.upper()}_PASSWORD"],
        error_cb=heard,
    )
    try:
        fine = set()
        for subject in subjects:
            said = len(refused)
            await do(client, subject)
            for _ in range(2):  # nats-py's ping overtakes what was published before it
                await client.flush()
            if len(refused) == said:
                fine.add(subject)
        assert all("permissions violation" in error.lower() for error in refused), refused
        return fine
    finally:
        await client.close()


async def publish(client, subject):
    await client.publish(subject, b"{}")


async def subscribe(client, subject):
    await client.subscribe(subject)


@pytest.mark.parametrize("user", USERS)
def test_a_user_of_the_bus_publishes_what_it_needs(bus, user):
    """On a bus of this test's own: what is allowed is done."""
    expected = {subject for subject, users in PUBLISH.items() if user in users}
    if user == "provision":  # makes everything, and says nothing
        expected = {subject for subject in PUBLISH if subject.startswith("$JS.API.")}
    # the streams go last
    subjects = sorted(PUBLISH, key=lambda subject: "STREAM." in subject)
    assert asyncio.run(allowed(bus, user, publish, subjects)) == expected


@pytest.mark.parametrize("user", USERS)
def test_a_user_of_the_bus_hears_what_it_needs(bus, user):
    expected = {subject for subject, users in SUBSCRIBE.items() if user in users}
    assert asyncio.run(allowed(bus, user, subscribe, SUBSCRIBE)) == expected


def test_nobody_comes_in_without_a_password(bus):
    async def main():
        client = Client()
        with pytest.raises((nats.errors.Error, OSError)):
            await client.connect(bus.environment.variables["NATS_URL"], allow_reconnect=False)

    asyncio.run(main())


# What is there to be done in the store, and who may: (what, bucket).
STORE = {
    ("list", "songs"): {"events", "separate"},
    ("list", "stems"): {"events", "separate", "upload", "notify"},
    ("list", "models"): {"separate", "upload"},
    ("get", "songs"): {"events", "separate"},
    ("get", "stems"): {"events", "separate", "upload", "notify"},
    ("get", "models"): {"separate"},
    ("put", "songs"): {"upload"},
    ("put", "stems"): {"separate"},
    ("put", "models"): set(),
    ("delete", "songs"): set(),
    ("delete", "stems"): {"separate", "upload"},
    ("delete", "models"): set(),
    ("give up a part of", "songs"): {"upload"},
    ("give up a part of", "stems"): {"separate"},
    ("notify", "songs"): set(),
    ("drop", "stems"): set(),
    ("make", "new"): set(),
    ("policy", "songs"): set(),
}
DEEDS = {
    "list": lambda there, bucket: list(there.list_objects(bucket)),
    "get": lambda there, bucket: there.get_object(bucket, "a").close(),
    "put": lambda there, bucket: there.put_object(bucket, "b", io.BytesIO(b"x"), 1),
    "delete": lambda there, bucket: there.remove_object(bucket, "a"),
    "give up a part of": lambda there, bucket: there._abort_multipart_upload(
        bucket, "c", there._create_multipart_upload(bucket, "c", {})
    ),
    "notify": lambda there, bucket: there.delete_bucket_notification(bucket),
    "drop": lambda there, bucket: there.remove_bucket(bucket),
    "make": lambda there, bucket: there.make_bucket(bucket),
    "policy": lambda there, bucket: there.set_bucket_policy(
        bucket, json.dumps({"Version": "2012-10-17", "Statement": []})
    ),
}


@pytest.mark.parametrize("user", ["events", "separate", "upload", "notify"])
def test_a_user_of_the_store_does_what_it_needs(whole, user):
    for bucket in ("songs", "stems", "models"):
        whole.store.put_object(bucket, "a", io.BytesIO(b"x"), 1)
    variables = whole.environment.for_component(user)
    keys = variables["STORE_ACCESS_KEY"], variables["STORE_SECRET_KEY"]
    there = store.connect(StoreSettings(whole.environment.store_url, "", *keys))
    done, refused = set(), set()
    for what, bucket in STORE:
        try:
            DEEDS[what](there, bucket)
            done.add((what, bucket))
        except S3Error as error:
            refused.add(error.code)
    assert refused == {"AccessDenied"}
    assert done == {deed for deed, users in STORE.items() if user in users}
