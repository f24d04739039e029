"""Each user of the store may do what its component does, and nothing else."""

import io
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from minio import Minio, MinioAdmin
from minio.commonconfig import CopySource, Tags
from minio.credentials.providers import StaticProvider
from minio.deleteobjects import DeleteObject
from minio.error import MinioAdminException, S3Error
from minio.versioningconfig import VersioningConfig

from microdemucs import store
from microdemucs.settings import StoreSettings
from minio_events.store_setup import COMPONENTS
from testing.stack import Stack

HASHED = f"{'5e' * 32}.mp3"
OBJECTS = {
    "songs": ["album/a.mp3", "form/1/a.mp3", HASHED],
    "stems": ["a.mp3/drums.mp3", "a.mp3/manifest.json", "a.mp3/failure.json", ".ranges/j/p/0000"],
    "models": ["htdemucs/htdemucs.safetensors", "usable-models.json"],
}
READERS: dict[str, set[str]] = {
    "album/a.mp3": {"events", "separate"},
    "form/1/a.mp3": {"events", "separate"},
    HASHED: {"events", "separate"},
    "a.mp3/drums.mp3": {"separate", "upload", "notify"},
    "a.mp3/manifest.json": {"events", "separate", "upload", "notify"},
    "a.mp3/failure.json": {"events", "separate", "upload", "notify"},
    ".ranges/j/p/0000": {"separate", "upload", "notify"},
    "htdemucs/htdemucs.safetensors": {"separate", "upload", "models"},
    "usable-models.json": {"separate", "upload", "models"},
}
WRITERS: dict[str, set[str]] = {
    "form/1/a.mp3": {"upload"},
    HASHED: {"upload"},
    **{key: {"separate"} for key in OBJECTS["stems"]},
    "htdemucs/htdemucs.safetensors": {"models"},
    "usable-models.json": {"separate", "models"},
}
REMOVERS: dict[str, set[str]] = {
    **{key: {"upload"} for key in OBJECTS["songs"]},
    **{key: {"separate", "upload"} for key in OBJECTS["stems"]},
}
LISTERS = {
    "songs": {"events", "separate", "upload"},
    "stems": {"events", "separate", "upload"},
    "models": {"separate", "upload", "models"},
}


def settings_of(stack: Stack, user: str) -> StoreSettings:
    """Return the address of the store with the keys of `user`; the sweep's user is events."""
    return stack.store_settings("sweep" if user == "events" else user)


def abort_upload(client: Minio, bucket: str, key: str) -> None:
    # minio has no public method that begins a multipart upload
    client._abort_multipart_upload(bucket, key, client._create_multipart_upload(bucket, key, {}))


def delete_several(client: Minio, bucket: str, key: str) -> None:
    for error in client.remove_objects(bucket, [DeleteObject(key)]):
        raise S3Error(None, error.code, None, None, "", "")  # type: ignore[arg-type]


def copy_onto_itself(client: Minio, bucket: str, key: str) -> None:
    client.copy_object(bucket, key, CopySource(bucket, key), metadata_directive="REPLACE")


ObjectCall = Callable[[Minio, str, str], object]
OBJECT_CALLS: dict[str, tuple[ObjectCall, dict[str, set[str]]]] = {
    "read": (lambda client, bucket, key: client.get_object(bucket, key).close(), READERS),
    "stat": (lambda client, bucket, key: client.stat_object(bucket, key), READERS),
    # MinIO asks for no more than the right to read; other stores also for s3:GetObjectVersion.
    "read a version": (
        lambda client, bucket, key: client.get_object(bucket, key, version_id="null").close(),
        READERS,
    ),
    "write": (lambda client, bucket, key: client.put_object(bucket, key, io.BytesIO(), 0), WRITERS),
    "write in parts and abort": (abort_upload, WRITERS),
    "copy": (
        copy_onto_itself,
        {key: READERS[key] & WRITERS[key] for key in [*OBJECTS["stems"], *OBJECTS["models"]]},
    ),
    "remove": (lambda client, bucket, key: client.remove_object(bucket, key), REMOVERS),
    "remove several": (delete_several, REMOVERS),
    "remove a version": (
        lambda client, bucket, key: client.remove_object(bucket, key, version_id="null"),
        {},
    ),
    "tag": (lambda client, bucket, key: client.set_object_tags(bucket, key, Tags()), {}),
    "read tags": (lambda client, bucket, key: client.get_object_tags(bucket, key), {}),
}
POLICY = json.dumps({"Version": "2012-10-17", "Statement": []})
BUCKET_CALLS: dict[str, tuple[Callable[[Minio, str], object], dict[str, set[str]]]] = {
    "list": (lambda client, bucket: [*client.list_objects(bucket)], LISTERS),
    "exists": (lambda client, bucket: client.bucket_exists(bucket), LISTERS),
    "remove": (lambda client, bucket: client.remove_bucket(bucket), {}),
    "make another": (lambda client, bucket: client.make_bucket(f"{bucket}-2"), {}),
    "remove rules": (lambda client, bucket: client.delete_bucket_notification(bucket), {}),
    "read rules": (lambda client, bucket: client.get_bucket_notification(bucket), {}),
    "publish": (lambda client, bucket: client.set_bucket_policy(bucket, POLICY), {}),
    "remove lifecycle": (lambda client, bucket: client.delete_bucket_lifecycle(bucket), {}),
    "suspend versioning": (
        lambda client, bucket: client.set_bucket_versioning(bucket, VersioningConfig("Suspended")),
        {},
    ),
}


@pytest.mark.parametrize("user", COMPONENTS)
def test_a_user_does_with_objects_what_its_component_does(stack: Stack, user: str) -> None:
    client = store.connect(settings_of(stack, user))
    done = set()
    for bucket, keys in OBJECTS.items():
        for key in keys:
            for name, (call, _) in OBJECT_CALLS.items():
                stack.store.put_object(bucket, key, io.BytesIO(b"x"), 1)
                if is_allowed(lambda: call(client, bucket, key)):  # noqa: B023 (called at once)
                    done.add((name, key))
    assert done == {
        (name, key)
        for name, (_, users) in OBJECT_CALLS.items()
        for key in users
        if user in users[key]
    }


@pytest.mark.parametrize("user", COMPONENTS)
def test_a_user_does_with_buckets_what_its_component_does(stack: Stack, user: str) -> None:
    client = store.connect(settings_of(stack, user))
    done = {
        (name, bucket)
        for name, (call, _) in BUCKET_CALLS.items()
        for bucket in OBJECTS
        if is_allowed(lambda: call(client, bucket))  # noqa: B023 (called at once)
    }
    assert done == {
        (name, bucket)
        for name, (_, users) in BUCKET_CALLS.items()
        for bucket in users
        if user in users[bucket]
    }


@pytest.mark.parametrize("user", COMPONENTS)
def test_an_object_that_does_not_exist_is_missing_and_not_forbidden(
    stack: Stack, user: str
) -> None:
    bucket = "models" if user == "models" else "stems"
    key = "never.mp3/manifest.json"
    with pytest.raises(S3Error) as error:
        store.connect(settings_of(stack, user)).get_object(bucket, key)
    assert error.value.code == "NoSuchKey"


def command(method: str, name: str, **query: str) -> Callable[[MinioAdmin, str], object]:
    """Return a call of an admin command for which minio has no method."""
    return lambda admin, _: admin._url_open(
        method=method,
        command=SimpleNamespace(value=name),  # type: ignore[arg-type]
        query_params=dict(query),
        body=b"{}",
    )


EVERYTHING: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}],
}
ADMIN_CALLS: dict[str, Callable[[MinioAdmin, str], object]] = {
    "make itself an access key": lambda admin, _: admin.add_service_account(),
    "choose its access key": lambda admin, _: admin.add_service_account(
        access_key="chosen-by-user", secret_key="chosen-by-user"
    ),
    "list access keys of others": lambda admin, _: admin.list_service_account("root"),
    "list all access keys": command("GET", "list-access-keys-bulk", listType="all", all="true"),
    "change its own secret": lambda admin, user: admin.user_add(user, "another-secret"),
    "read its own user": lambda admin, user: admin.user_info(user),
    "add a user": lambda admin, _: admin.user_add("new", "another-secret"),
    "list users": lambda admin, _: admin.user_list(),
    "remove a user": lambda admin, _: admin.user_remove("nobody"),
    "disable a user": lambda admin, _: admin.user_disable("nobody"),
    "add a group": lambda admin, user: admin.group_add("group", user),
    "write a policy": lambda admin, _: admin.policy_add("new", policy=EVERYTHING),
    "read a policy": lambda admin, _: admin.policy_info("readwrite"),
    "give itself a policy": lambda admin, user: admin.attach_policy(["readwrite"], user=user),
    "read settings": lambda admin, _: admin.config_get("notify_nats"),
    "reset settings": lambda admin, _: admin.config_reset("notify_nats", "songs_fast"),
    "export users": command("GET", "export-iam"),
    "import users": command("PUT", "import-iam"),
    "import users, second version": command("PUT", "import-iam-v2"),
    "read the server's state": lambda admin, _: admin.info(),
}


@pytest.mark.parametrize("call", ADMIN_CALLS)
@pytest.mark.parametrize("user", COMPONENTS)
def test_a_user_cannot_administrate_not_even_itself(stack: Stack, user: str, call: str) -> None:
    settings = settings_of(stack, user)
    admin = MinioAdmin(
        endpoint=settings.url.removeprefix("http://"),
        credentials=StaticProvider(settings.access_key, settings.secret_key),
        secure=False,
    )
    with pytest.raises((MinioAdminException, UnboundLocalError)) as raised:
        ADMIN_CALLS[call](admin, user)
    # minio 7.2.20 hides the store's own error behind an UnboundLocalError
    error = raised.value if raised.type is MinioAdminException else raised.value.__context__
    assert '"Code":"AccessDenied"' in str(error)


def is_allowed(call: Callable[[], object]) -> bool:
    """Make the call; return whether the store allowed it."""
    try:
        call()
    except S3Error as error:
        if error.code != "AccessDenied":
            raise
        return False
    return True
