"""Provisioning: as often as one likes, and one clear line where it cannot be done."""

import io
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.notificationconfig import NotificationConfig

from local.ports import free_port
from microdemucs import store
from microdemucs.paths import ROOT
from microdemucs.settings import BusSettings, StoreSettings
from minio_events import store_setup
from testing.stack import Stack
from testing.waiting import wait_until
from tests.integration.minio_events.functions import function


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A machine with NATS and MinIO, of this module alone; provisioned before it was up."""
    one = Stack(tmp_path_factory.mktemp("machine"))
    try:
        with ThreadPoolExecutor() as beside:
            one.first = beside.submit(provisioned, one)
            one.start("nats", "minio")
        yield one
    finally:
        one.close()


def command(one, **settings):
    return subprocess.run(
        [sys.executable, "-m", "minio_events", "provision"],
        cwd=ROOT,
        env=os.environ | one.environment.for_component("provision") | settings,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def provisioned(one, **settings):
    """What was changed."""
    done = command(one, **settings)
    assert (done.returncode, done.stderr) == (0, ""), done
    line = json.loads(done.stdout.splitlines()[-1])
    assert line["event"] == "provisioned"
    return line["changed"]


def heard(one, bucket, key, subject):
    """The store tells the bus of an object, twice."""

    async def listen(client):
        info = await client.jetstream().stream_info(subject)
        return info.state.messages

    before = one.on_bus("events", listen)
    one.store.put_object(bucket, key, io.BytesIO(b"x"), 1)
    wait_until(lambda: one.on_bus("events", listen) == before + 2, 20, f"two copies of {key}")


def test_a_store_and_a_bus_that_have_just_been_started_are_waited_for(two):
    changed = two.first.result()
    assert [what for what in changed if what.startswith(("stream", "user"))] == [
        *(f"stream {name}" for name in ("SONGS", "STEMS", "DELIVERIES", "DEAD")),
        *(f"user {name}" for name in ("events", "separate", "upload", "notify")),
    ]
    heard(two, "songs", "a.mp3", "SONGS")
    heard(two, "stems", "a.mp3/manifest.json", "STEMS")


def test_a_second_time_changes_nothing(two):
    assert provisioned(two) == []


def test_only_marks_are_told_of_in_the_output_bucket(two):
    two.store.put_object("stems", "b.mp3/drums.mp3", io.BytesIO(b"x"), 1)
    heard(two, "stems", "b.mp3/failure.json", "STEMS")


def test_what_is_gone_or_changed_is_mended(two):
    two.store.set_bucket_notification("songs", NotificationConfig())

    async def break_bus(client):
        js = client.jetstream()
        await js.delete_consumer("SONGS", "intake")
        config = (await js.stream_info("STEMS")).config
        await js.update_stream(config.evolve(max_age=3600))
        consumer = (await js.consumer_info("STEMS", "results")).config
        await js.add_consumer("STEMS", consumer.evolve(ack_wait=5))
        kept = (await js.stream_info("KV_told")).config
        await js.update_stream(kept.evolve(max_age=3600))

    two.on_bus("provision", break_bus)
    assert provisioned(two) == [
        *("stream STEMS", "consumer SONGS.intake", "consumer STEMS.results"),
        *("bucket told", "rules of songs"),
    ]
    assert provisioned(two) == []
    heard(two, "songs", "b.mp3", "SONGS")


def test_a_new_secret_of_a_part_is_taken(two):
    provisioned(two, STORE_NOTIFY_SECRET="another-secret")
    there = store.connect(StoreSettings(two.environment.store_url, "", "notify", "another-secret"))
    assert list(there.list_objects("stems")) is not None


def test_a_new_password_of_the_store_at_the_bus_is_noticed(two):
    two.kill("nats")
    two.environment.variables["NATS_MINIO_PASSWORD"] = "another-password"
    two.start("nats")
    assert provisioned(two) == [
        f"target notify_nats:{bucket}_{kind}"
        for bucket in ("songs", "stems")
        for kind in ("fast", "sure")
    ]
    assert provisioned(two) == []
    heard(two, "songs", "c.mp3", "SONGS")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"STORE_SECRET_KEY": "wrong"}, "the store refuses STORE_ACCESS_KEY and .*: Signature.*"),
        ({"STORE_ACCESS_KEY": "nobody"}, "the store refuses STORE_ACCESS_KEY and .*: Invalid.*"),
        ({"STORE_ACCESS_KEY": ""}, "STORE_ACCESS_KEY and STORE_SECRET_KEY must be .*"),
        ({"NATS_PASSWORD": "wrong"}, "the bus at .* refuses NATS_USER and NATS_PASSWORD"),
        ({"NATS_USER": "events"}, "the bus at .* refuses NATS_USER and NATS_PASSWORD"),
        ({"STORE_NOTIFY_SECRET": ""}, "STORE_NOTIFY_SECRET is not set: .*"),
        ({"STORE_QUEUE_DIR": ""}, "STORE_QUEUE_DIR is not set: name a folder .*"),
        ({"NATS_MINIO_PASSWORD": ""}, "NATS_MINIO_PASSWORD is not set: .*"),
        ({"NATS_REPLICAS": "3"}, "the bus at .* refused: .*"),
        ({"NATS_REPLICAS": "x"}, "NATS_REPLICAS is 'x': it must be a number"),
        ({"STORE_URL": "nowhere"}, "STORE_URL is 'nowhere': it must be a URL .*"),
    ],
)
def test_what_cannot_be_done_is_one_line_at_once(whole, settings, line):
    began = time.monotonic()
    done = command(whole, **settings)
    assert done.returncode == 1
    [said] = done.stderr.splitlines()
    assert re.fullmatch(line, said)
    assert time.monotonic() - began < 20


def test_a_user_who_is_not_the_stores_root_is_one_line(whole):
    keys = {"STORE_ACCESS_KEY": "events"}
    secret = whole.environment.variables["STORE_EVENTS_SECRET"]
    done = command(whole, **keys, STORE_SECRET_KEY=secret)
    assert done.returncode == 1
    assert re.fullmatch("the store refuses STORE_ACCESS_KEY .*: AccessDenied\n", done.stderr)


def test_a_store_that_does_not_come_is_one_line(monkeypatch):
    monkeypatch.setattr(store_setup, "_READY_S", 0.5)
    settings = StoreSettings(f"http://127.0.0.1:{free_port()}", "", "root", "secret")
    with pytest.raises(SystemExit, match=r"the store does not answer after 0\.5 s"):
        store_setup.provision_store(settings, BusSettings())


def test_an_admin_interface_that_is_not_up_yet_is_asked_again():
    """As for a moment after MinIO's start: everything else answers already."""
    asked = []
    with function() as not_yet:
        admin = MinioAdmin(
            endpoint=not_yet.url.removeprefix("http://"),
            credentials=StaticProvider("root", "root-secret"),
            secure=False,
            http_client=urllib3.PoolManager(retries=False, timeout=10),
        )

        def probe():
            asked.append(1)
            return len(asked) > 2 or store_setup._held_targets(admin)

        store_setup._until(probe, "it does not answer")
    assert len(asked) == 3
