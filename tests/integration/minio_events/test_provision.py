"""The command `provision`: on a stack that is just starting, again, and on one that refuses."""

import io
import json
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from minio import Minio, MinioAdmin
from minio.credentials.providers import AssumeRoleProvider, StaticProvider
from minio.crypto import encrypt
from minio.error import S3Error
from minio.notificationconfig import NotificationConfig
from nats.aio.client import Client

from microdemucs.events import created_objects
from testing.stack import Stack
from testing.waiting import wait_until
from tests.integration.minio_events.program import failure_line, run_program
from tests.integration.minio_events.stored_messages import stored_messages


@dataclass(frozen=True)
class Started:
    """A stack with NATS and MinIO, and what the first `provision` changed."""

    stack: Stack
    first_changes: Future[list[str]]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """A stack of this module alone: `provision` runs before NATS and MinIO are up."""
    with Stack(tmp_path_factory.mktemp("stack")) as stack:
        with ThreadPoolExecutor() as thread:
            first_changes = thread.submit(provision, stack)
            stack.start("nats", "minio")
        yield Started(stack, first_changes)


@pytest.fixture
def two(started: Started) -> Stack:
    """The provisioned stack of this module."""
    started.first_changes.result()
    return started.stack


def provision(stack: Stack, **settings: str) -> list[str]:
    """Run the command; return the changes that it logs."""
    completed = run_program(stack, "provision", ["provision"], **settings)
    assert (completed.returncode, completed.stderr) == (0, ""), completed
    line = json.loads(completed.stdout.splitlines()[-1])
    assert line["event"] == "provisioned"
    changes: list[str] = line["changed"]
    return changes


def expect_two_notifications(stack: Stack, bucket: str, key: str, stream: str) -> None:
    """Put an object; the store must send two notifications of it."""

    async def count(client: Client) -> int:
        return (await client.jetstream().stream_info(stream)).state.messages

    before = stack.on_bus("tests", count)
    stack.store.put_object(bucket, key, io.BytesIO(b"x"), 1)
    wait_until(
        lambda: stack.on_bus("tests", count) == before + 2, 20, f"two notifications of {key}"
    )


def answer_to(access_key: str, secret_key: str, url: str, token: str | None = None) -> str:
    """Return the code with which the store answers these credentials; "" if it lists stems."""
    client = Minio(
        url.removeprefix("http://"),
        *(access_key, secret_key, token),
        region="us-east-1",
        secure=False,
    )
    try:
        list(client.list_objects("stems"))
    except S3Error as error:
        return error.code or "?"
    return ""


def test_a_store_and_a_bus_that_are_starting_are_waited_for(started: Started) -> None:
    changes = started.first_changes.result()
    assert [change for change in changes if change.startswith(("stream", "user"))] == [
        *(f"stream {name}" for name in ("SONGS", "QUEUE", "STEMS")),
        *(f"stream {name}" for name in ("OUTBOX", "DELIVERIES", "DEAD", "ATTEMPTS")),
        *(f"user {name}" for name in ("events", "separate", "upload", "notify", "models")),
    ]


def test_a_new_song_is_notified_twice(two: Stack) -> None:
    expect_two_notifications(two, "songs", "a.mp3", "SONGS")


def test_a_new_manifest_is_notified_twice(two: Stack) -> None:
    expect_two_notifications(two, "stems", "a.mp3/manifest.json", "STEMS")


def test_a_new_stem_is_not_notified(two: Stack) -> None:
    for file in ("drums.mp3", "failure.json"):
        two.store.put_object("stems", f"b.mp3/{file}", io.BytesIO(b"x"), 1)

    def notified() -> list[str]:
        messages = stored_messages(two, "STEMS")
        created = (created_objects(message.data or b"") for message in messages)
        keys = [found.key for objects in created for _, found in objects]
        return [key for key in keys if key.startswith("b.mp3/")]

    failure = "b.mp3/failure.json"
    wait_until(lambda: notified().count(failure) == 2, 20, f"two notifications of {failure}")
    assert set(notified()) == {failure}


def test_a_second_time_changes_nothing(two: Stack) -> None:
    assert provision(two) == []


def test_changes_on_the_bus_and_in_the_store_are_repaired(two: Stack) -> None:
    two.store.set_bucket_notification("songs", NotificationConfig())

    async def delete_consumer(client: Client) -> None:
        await client.jetstream().delete_consumer("SONGS", "intake")

    two.on_bus("provision", delete_consumer)
    assert provision(two) == ["consumer SONGS.intake", "rules of songs"]
    assert provision(two) == []
    expect_two_notifications(two, "songs", "b.mp3", "SONGS")


def test_a_new_secret_of_a_component_is_set(two: Stack) -> None:
    assert provision(two, STORE_SEPARATE_SECRET="another-secret") == ["user separate"]
    assert answer_to("separate", "another-secret", two.environment.store_url) == ""
    assert provision(two) == ["user separate"]


def test_without_a_secret_there_is_no_user_who_fetches_models(two: Stack) -> None:
    settings = two.store_settings("models")
    keys = settings.access_key, settings.secret_key, settings.url
    assert answer_to(*keys) == "AccessDenied"  # it may not list stems
    assert provision(two, STORE_MODELS_SECRET="") == ["user models"]
    assert answer_to(*keys) == "InvalidAccessKeyId"
    assert provision(two, STORE_MODELS_SECRET="") == []
    assert provision(two) == ["user models"]


def test_temporary_credentials_of_a_component_end_with_the_next_provisioning(two: Stack) -> None:
    provision(two)
    settings = two.store_settings("upload")
    made = AssumeRoleProvider(
        sts_endpoint=settings.url,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
    ).retrieve()
    credentials = (made.access_key, made.secret_key, settings.url, made.session_token)
    assert answer_to(*credentials) == ""
    assert provision(two) == []
    assert answer_to(*credentials) == "InvalidAccessKeyId"
    assert answer_to(settings.access_key, settings.secret_key, settings.url) == ""


def test_access_keys_beside_the_users_own_are_removed(two: Stack) -> None:
    provision(two)
    root = two.store_settings("provision")
    admin = MinioAdmin(
        endpoint=root.url.removeprefix("http://"),
        credentials=StaticProvider(root.access_key, root.secret_key),
        secure=False,
    )
    key = {"targetUser": "separate", "accessKey": "made-before", "secretKey": "made-before"}
    admin._url_open(
        method="PUT",
        command=SimpleNamespace(value="add-service-account"),  # type: ignore[arg-type]
        body=encrypt(json.dumps(key).encode(), root.secret_key),
    )
    assert answer_to("made-before", "made-before", root.url) == ""
    assert provision(two) == ["user separate"]
    assert answer_to("made-before", "made-before", root.url) == "InvalidAccessKeyId"
    separate = two.store_settings("separate")
    assert answer_to(separate.access_key, separate.secret_key, root.url) == ""


def test_a_new_password_of_the_store_on_the_bus_is_set(two: Stack) -> None:
    two.kill("nats")
    two.environment.variables["NATS_MINIO_PASSWORD"] = "another-password"
    two.start("nats")
    assert provision(two) == [
        f"target notify_nats:{bucket}_{kind}"
        for bucket in ("songs", "stems")
        for kind in ("fast", "sure")
    ]
    assert provision(two) == []
    expect_two_notifications(two, "songs", "c.mp3", "SONGS")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"STORE_SECRET_KEY": "wrong"}, "the store refuses STORE_ACCESS_KEY and .*: Signature.*"),
        ({"STORE_ACCESS_KEY": "nobody"}, "the store refuses STORE_ACCESS_KEY and .*: Invalid.*"),
        ({"NATS_PASSWORD": "wrong"}, "the bus at .* refuses NATS_USER and NATS_PASSWORD"),
        ({"NATS_USER": "events"}, "the bus at .* refuses NATS_USER and NATS_PASSWORD"),
        ({"NATS_REPLICAS": "3"}, "the bus at .* refused: .*"),
    ],
    ids=lambda value: "".join(value) if isinstance(value, dict) else "",
)
def test_a_refusal_is_one_line_at_once(stack: Stack, settings: dict[str, str], line: str) -> None:
    completed = run_program(stack, "provision", ["provision"], **settings)
    assert re.fullmatch(line, failure_line(completed))  # after waiting, it would say for how long


def test_a_user_that_is_not_the_stores_root_is_refused_with_one_line(stack: Stack) -> None:
    settings = {
        "STORE_ACCESS_KEY": "events",
        "STORE_SECRET_KEY": stack.environment.variables["STORE_EVENTS_SECRET"],
    }
    completed = run_program(stack, "provision", ["provision"], **settings)
    line = failure_line(completed)
    assert re.fullmatch("the store refuses STORE_ACCESS_KEY .*: AccessDenied", line)


def test_retention_is_set_and_taken_back(two: Stack) -> None:
    days = {"SONGS_RETENTION_DAYS": "7", "STEMS_RETENTION_DAYS": "9", "JOBS_RETENTION_DAYS": "0"}
    changes = {"bucket jobs", "retention of songs", "retention of stems"}
    assert set(provision(two, **days)) == changes
    lifecycles = [two.store.get_bucket_lifecycle(bucket) for bucket in ("songs", "stems")]
    assert [
        rule.expiration.days
        for lifecycle in lifecycles
        if lifecycle
        for rule in lifecycle.rules
        if rule.expiration
    ] == [7, 9]
    assert provision(two, **days) == []
    assert set(provision(two)) == changes
    assert two.store.get_bucket_lifecycle("songs") is None
