"""Wait for a store that is starting."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import urllib3
from minio import MinioAdmin
from minio.commonconfig import ENABLED, Filter
from minio.credentials.providers import AssumeRoleProvider, StaticProvider
from minio.error import MinioAdminException
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule

from local.ports import free_port
from microdemucs.paths import ROOT
from microdemucs.settings import BusSettings
from minio_events import store_setup
from minio_events.settings import ProvisionSettings
from testing.stack import Stack
from tests.integration.minio_events.function_server import FunctionServer


def test_every_component_has_a_policy() -> None:
    names = {path.stem for path in (ROOT / "minio-events/minio_events/policies").iterdir()}
    assert names == set(store_setup.COMPONENTS)


def test_a_store_that_does_not_start_is_one_line(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stack.environment.for_component("provision").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STORE_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr(store_setup, "_READY_S", 0.5)
    with pytest.raises(SystemExit, match=r"the store does not answer after 0\.5 s"):
        store_setup.provision_store(ProvisionSettings(), BusSettings())


def test_an_admin_interface_that_is_not_up_yet_is_asked_again() -> None:
    """For a moment after MinIO's start everything else already answers."""
    probes = 0
    with FunctionServer() as not_ready:
        admin = MinioAdmin(
            endpoint=not_ready.url.removeprefix("http://"),
            credentials=StaticProvider("root", "root-secret"),
            secure=False,
            http_client=urllib3.PoolManager(retries=False, timeout=10),
        )

        def probe() -> bool:
            nonlocal probes
            probes += 1
            return probes > 2 or bool(store_setup.notification_targets(admin))

        store_setup.wait_until_ready(probe, "it does not answer")
    assert probes == 3


def test_the_targets_of_a_provisioned_store_are_read(stack: Stack) -> None:
    settings = stack.store_settings("provision")
    admin = MinioAdmin(
        endpoint=settings.url.removeprefix("http://"),
        credentials=StaticProvider(settings.access_key, settings.secret_key),
        secure=False,
    )
    targets = store_setup.notification_targets(admin)
    assert targets["notify_nats:songs_fast"]["subject"] == "minio.songs"
    assert targets["notify_nats:stems_sure"]["queue_dir"].endswith("/stems")


def lifecycle(stack: Stack, bucket: str) -> dict[str, int | None]:
    """Return the days of each lifecycle rule of the bucket, by the rule's id."""
    config = stack.store.get_bucket_lifecycle(bucket)
    return {
        rule.rule_id or "": rule.expiration.days if rule.expiration else None
        for rule in (config.rules if config else [])
    }


@pytest.fixture
def bucket(stack: Stack) -> Iterator[str]:
    """An empty bucket."""
    stack.store.make_bucket("retention")
    yield "retention"
    stack.store.remove_bucket("retention")


def test_retention_is_a_lifecycle_rule_of_the_bucket(stack: Stack, bucket: str) -> None:
    assert store_setup.set_retention(stack.store, bucket, 7)
    assert lifecycle(stack, bucket) == {store_setup.RETENTION_RULE: 7}
    assert not store_setup.set_retention(stack.store, bucket, 7)
    assert store_setup.set_retention(stack.store, bucket, 8)
    assert lifecycle(stack, bucket) == {store_setup.RETENTION_RULE: 8}
    assert store_setup.set_retention(stack.store, bucket, 0)
    assert lifecycle(stack, bucket) == {}
    assert not store_setup.set_retention(stack.store, bucket, 0)


def test_other_lifecycle_rules_stay(stack: Stack, bucket: str) -> None:
    rule = Rule(
        status=ENABLED,
        rule_id="mine",
        rule_filter=Filter(prefix="tmp/"),
        expiration=Expiration(days=1),
    )
    stack.store.set_bucket_lifecycle(bucket, LifecycleConfig([rule]))
    assert not store_setup.set_retention(stack.store, bucket, 0)
    store_setup.set_retention(stack.store, bucket, 7)
    assert lifecycle(stack, bucket) == {"mine": 1, store_setup.RETENTION_RULE: 7}
    store_setup.set_retention(stack.store, bucket, 0)
    assert lifecycle(stack, bucket) == {"mine": 1}


@pytest.mark.parametrize("action", ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:*"])
def test_no_policy_forbids_temporary_credentials(stack: Stack, action: str) -> None:
    """If this fails, MinIO has learned it: deny the action in the policies."""
    settings = stack.store_settings("provision")
    admin = MinioAdmin(
        endpoint=settings.url.removeprefix("http://"),
        credentials=StaticProvider(settings.access_key, settings.secret_key),
        secure=False,
    )
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]},
        {"Effect": "Deny", "Action": [action]},
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    admin.user_add("tried", "tried-secret")
    try:
        try:
            admin.policy_add("tried", policy=policy)
        except (MinioAdminException, UnboundLocalError):
            return  # it knows no such action; minio 7.2.20 may hide its error
        admin.attach_policy(["tried"], user="tried")
        credentials = AssumeRoleProvider(
            sts_endpoint=settings.url, access_key="tried", secret_key="tried-secret"
        ).retrieve()
        assert credentials.session_token
    finally:
        admin.user_remove("tried")
        with suppress(MinioAdminException, UnboundLocalError):
            admin.policy_remove("tried")
