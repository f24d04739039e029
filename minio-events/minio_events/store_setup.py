"""Create or update the store's buckets, users, policies, notifications and lifecycle rules.

This is the only module that uses MinIO's own admin interface; all others use plain S3.
"""

import hashlib
import json
import logging
import shlex
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import urllib3
from minio import Minio, MinioAdmin
from minio.commonconfig import ENABLED, Filter
from minio.credentials.providers import StaticProvider
from minio.error import InvalidResponseError, MinioAdminException, S3Error, ServerError
from minio.lifecycleconfig import (
    Expiration,
    LifecycleConfig,
    NoncurrentVersionExpiration,
    Rule,
)
from minio.notificationconfig import NotificationConfig, QueueConfig, SuffixFilterRule

from microdemucs import bus
from microdemucs.manifest import FAILURE, MANIFEST
from microdemucs.settings import BusSettings, StoreSettings
from minio_events.settings import ProvisionSettings

log = logging.getLogger(__name__)

COMPONENTS = ("events", "separate", "upload", "notify", "models")
"""Each has a user of its name in the store; policies/<name>.json lists its permissions.

Without a secret, the user models, which fetches models, does not exist.
"""

RETENTION_RULE = "micro-demucs-retention"
"""The id of our lifecycle rule in a bucket; rules with other ids are not ours."""

_POLICIES = Path(__file__).parent / "policies"
_READY_S = 60
# The errors of a store that is just starting or restarting.
_NOT_READY = (
    urllib3.exceptions.HTTPError,
    InvalidResponseError,
    S3Error,
    ServerError,
    MinioAdminException,
    OSError,
)
_REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied")


def provision_store(settings: ProvisionSettings, nats: BusSettings) -> list[str]:
    """Create or update everything, and return the changes, such as "bucket songs".

    `nats` is how the store reaches the bus, and its user there. It can be called again at any time.
    Raises SystemExit with what to do.
    """
    store = settings.store
    client, admin = _clients(store)
    wait_until_ready(lambda: client.list_buckets() is not None, "the store does not answer")
    wait_until_ready(
        lambda: bool(notification_targets(admin)), "the store's admin interface does not answer"
    )
    try:
        changes = _set_targets(admin, settings, nats)
        if changes:
            admin.service_restart()  # MinIO reads notification targets only when it starts
            _wait_for_targets(client, store)
        changes += _create_buckets(client, store)
        changes += _set_users(admin, settings)
        changes += _set_rules(client, store)
        for bucket, days in (
            (store.songs, settings.retention.songs_days),
            (store.stems, settings.retention.stems_days),
        ):
            if set_retention(client, bucket, days):
                changes.append(f"retention of {bucket}")
    except (MinioAdminException, S3Error) as error:
        raise SystemExit(f"the store at {store.url} refused: {error}") from error
    return changes


def set_retention(client: Minio, bucket: str, days: int) -> bool:
    """Let the store remove what is older than `days` (0: never). Return whether that is new.

    Other lifecycle rules of the bucket stay. In a bucket with versions, a version goes so many days
    after it was replaced.
    """
    existing = client.get_bucket_lifecycle(bucket)
    rules = existing.rules if existing else []
    others = [rule for rule in rules if rule.rule_id != RETENTION_RULE]
    ours = [_retention(days)] if days else []
    if [_days(rule) for rule in rules if rule not in others] == [_days(rule) for rule in ours]:
        return False
    if others or ours:
        client.set_bucket_lifecycle(bucket, LifecycleConfig(others + ours))
    else:
        client.delete_bucket_lifecycle(bucket)
    return True


def wait_until_ready(probe: Callable[[], bool], problem: str) -> None:
    """Wait until `probe` returns True; it may fail as long as the store is starting.

    Raises SystemExit if the store refuses the root user, or with `problem` after a minute.
    """
    end = time.monotonic() + _READY_S
    while True:
        try:
            if probe():
                return
            reason = ""
        except _NOT_READY as error:
            reason = f": {error}"
            for code in _REFUSED:
                if code in str(error):
                    raise SystemExit(
                        f"the store refuses STORE_ACCESS_KEY and STORE_SECRET_KEY: {code}"
                    ) from error
        if time.monotonic() > end:
            raise SystemExit(f"{problem} after {_READY_S} s{reason}")
        time.sleep(0.1)


def notification_targets(admin: MinioAdmin) -> dict[str, dict[str, str]]:
    """Return the settings of each NATS target of the store. Raises the errors of a store."""
    try:
        config = admin.config_get("notify_nats")
    except UnboundLocalError as error:  # minio 7.2.20 hides the store's own error behind it
        raise error.__context__ or error from None
    lines = [shlex.split(line) for line in config.splitlines() if line]
    return {
        words[0]: dict(word.split("=", 1) for word in words[1:] if "=" in word) for words in lines
    }


def _clients(store: StoreSettings) -> tuple[Minio, MinioAdmin]:
    url = urlsplit(store.url)
    is_https = url.scheme == "https"
    pool = urllib3.PoolManager(retries=False, timeout=10)
    root = StaticProvider(store.access_key, store.secret_key)
    client = Minio(
        url.netloc, credentials=root, secure=is_https, region=store.region, http_client=pool
    )
    return client, MinioAdmin(
        endpoint=url.netloc, credentials=root, secure=is_https, http_client=pool
    )


def _set_targets(admin: MinioAdmin, settings: ProvisionSettings, nats: BusSettings) -> list[str]:
    """Set two targets per bucket: a fast one, and a durable one.

    The fast one forgets what it cannot send. The durable one ("sure") has a queue on disk, which it
    replays every 3 s. The bridge drops the second copy.
    """
    address = urlsplit(nats.url)
    existing = notification_targets(admin)
    changes = []
    for bucket, subject in (
        (settings.store.songs, bus.SONGS_SUBJECT),
        (settings.store.stems, bus.STEMS_SUBJECT),
    ):
        for kind in ("fast", "sure"):
            config = {
                "address": f"{address.hostname}:{address.port or 4222}",
                "subject": subject,
                "username": nats.user,
                "password": nats.password,
                "comment": _fingerprint(nats.password),
                "jetstream": "on",
                "queue_dir": f"{settings.store_queue_dir}/{bucket}" if kind == "sure" else "",
                "queue_limit": "100000" if kind == "sure" else "0",
            }
            name = f"notify_nats:{bucket}_{kind}"
            target = existing.get(name, {})
            # The store does not show passwords: the fingerprint in the comment stands for it.
            visible = {key: value for key, value in config.items() if key != "password"}
            if any(target.get(key, "") != value for key, value in visible.items()):
                admin.config_set(name, {key: value for key, value in config.items() if value})
                changes.append(f"target {name}")
    return changes


def _fingerprint(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:12]


def _wait_for_targets(client: Minio, store: StoreSettings) -> None:
    """Wait until the restarted store knows its targets: it answers before that."""
    probe_bucket = f"{store.songs}-provision"

    def accepts_rule() -> bool:
        if not client.bucket_exists(probe_bucket):
            client.make_bucket(probe_bucket)
        client.set_bucket_notification(probe_bucket, _rules(store.songs, [""]))
        return True

    wait_until_ready(accepts_rule, "the store does not know its notification targets")
    client.remove_bucket(probe_bucket)


def _create_buckets(client: Minio, store: StoreSettings) -> list[str]:
    changes = []
    for name in (store.songs, store.stems, store.models):
        if not client.bucket_exists(name):
            client.make_bucket(name)
            changes.append(f"bucket {name}")
    return changes


def _set_users(admin: MinioAdmin, settings: ProvisionSettings) -> list[str]:
    changes = []
    existing = json.loads(admin.user_list())
    for component in COMPONENTS:
        name, secret = f"micro-demucs-{component}", settings.store_secret(component)
        if not secret:
            if component in existing:
                admin.user_remove(component)
                changes.append(f"user {component}")
            continue
        admin.policy_add(name, policy=read_policy(component, settings.store))
        is_current = existing.get(component, {}).get("policyName") == name
        if component in existing and _has_other_keys(admin, settings.store, component, secret):
            # A new secret alone would leave the access keys that somebody made with the old one.
            # They go with the user.
            admin.user_remove(component)
            is_current = False
        admin.user_add(component, secret)
        _revoke_temporary_credentials(admin, component)
        if not is_current:
            admin.attach_policy([name], user=component)
            changes.append(f"user {component}")
    return changes


def read_policy(component: str, store: StoreSettings) -> dict[str, Any]:
    """Return what the component may do in the store, as an IAM policy with the buckets' names."""
    text = (_POLICIES / f"{component}.json").read_text()
    for placeholder, bucket in (
        ("{songs}", store.songs),
        ("{stems}", store.stems),
        ("{models}", store.models),
    ):
        text = text.replace(placeholder, bucket)
    policy: dict[str, Any] = json.loads(text)
    return policy


def _revoke_temporary_credentials(admin: MinioAdmin, user: str) -> None:
    """End the credentials that the user has requested: no component does that, and none may stay.

    No policy can forbid the request (AssumeRole).
    """
    try:
        admin._url_open(  # minio 7.2.20 has no method for this command
            method="POST",
            command=SimpleNamespace(value="revoke-tokens/builtin"),  # type: ignore[arg-type]
            query_params={"user": user, "fullRevoke": "true"},
        )
    except MinioAdminException as error:  # a store of before 2025 does not know it
        log.warning(
            "temporary credentials kept: the store cannot revoke them",
            extra={"user": user, "reason": str(error)},
        )


def _has_other_keys(admin: MinioAdmin, store: StoreSettings, user: str, secret: str) -> bool:
    """Return whether the user's secret is another one, or it has access keys beside its own."""
    client, _ = _clients(replace(store, access_key=user, secret_key=secret))
    try:
        client.list_buckets()
    except S3Error as error:
        if error.code == "SignatureDoesNotMatch":
            return True
    return bool(json.loads(admin.list_service_account(user)).get("accounts"))


def _set_rules(client: Minio, store: StoreSettings) -> list[str]:
    changes = []
    for bucket, suffixes in (
        (store.songs, [""]),  # the store's suffix filters heed case: the bridge filters instead
        (store.stems, [f"/{MANIFEST}", f"/{FAILURE}"]),
    ):
        rules = _rules(bucket, suffixes)
        if _comparable(client.get_bucket_notification(bucket)) != _comparable(rules):
            client.set_bucket_notification(bucket, rules)
            changes.append(f"rules of {bucket}")
    return changes


def _retention(days: int) -> Rule:
    return Rule(
        status=ENABLED,
        rule_id=RETENTION_RULE,
        rule_filter=Filter(prefix=""),
        expiration=Expiration(days=days),
        noncurrent_version_expiration=NoncurrentVersionExpiration(noncurrent_days=days),
    )


def _days(rule: Rule) -> int | None:
    return rule.expiration.days if rule.expiration and rule.status == ENABLED else None


def _rules(bucket: str, suffixes: list[str]) -> NotificationConfig:
    """Notify both targets of `bucket` of each new object with one of these suffixes."""
    return NotificationConfig(
        queue_config_list=[
            QueueConfig(
                events=["s3:ObjectCreated:*"],
                queue=f"arn:minio:sqs::{bucket}_{kind}:nats",
                config_id=f"{kind}{number}",
                suffix_filter_rule=SuffixFilterRule(suffix) if suffix else None,
            )
            for number, suffix in enumerate(suffixes)
            for kind in ("fast", "sure")
        ]
    )


def _comparable(config: NotificationConfig) -> set[tuple[str, str]]:
    """Each rule's target, without the region that the store adds, and suffix."""
    return {
        (
            (rule.queue or "").split("sqs:")[-1].split(":", 1)[1],
            rule.suffix_filter_rule.value if rule.suffix_filter_rule else "",
        )
        for rule in config.queue_config_list or []
    }
