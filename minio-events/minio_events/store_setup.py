"""What the store must hold: buckets, users with their policies, notification targets and rules.

The only place that speaks MinIO's own admin interface; all else is plain S3.
"""

import hashlib
import json
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from minio import Minio, MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import InvalidResponseError, MinioAdminException, S3Error, ServerError
from minio.notificationconfig import NotificationConfig, QueueConfig, SuffixFilterRule

from microdemucs import bus
from microdemucs.manifest import FAILURE, MANIFEST
from microdemucs.settings import BadSetting, BusSettings, StoreSettings
from minio_events.settings import ProvisionSettings

PARTS = ("events", "separate", "upload", "notify")
"""Each has a user of its name in the store, and policies/<name>.json says what it may."""

_POLICIES = Path(__file__).parent / "policies"
_READY_S = 60
# What a store that is just starting, or just ending to start anew, may answer.
_NOT_YET = (
    urllib3.exceptions.HTTPError,
    InvalidResponseError,
    S3Error,
    ServerError,
    MinioAdminException,
    OSError,
)

_REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied")


def provision_store(given: ProvisionSettings, nats: BusSettings) -> list[str]:
    """Make or mend everything; what was made or changed, in words. Safe to call again.

    `settings` must be the store's root; `nats` tells where the store sends to, as user minio.
    Secrets of the parts come from STORE_<PART>_SECRET. Raises SystemExit with what to do.
    """
    settings = given.store
    if not settings.access_key or not settings.secret_key:
        raise BadSetting("STORE_ACCESS_KEY and STORE_SECRET_KEY must be the store's root's")
    url = urlsplit(settings.url)
    pool = urllib3.PoolManager(retries=False, timeout=10)
    root = StaticProvider(settings.access_key, settings.secret_key)
    client = Minio(
        url.netloc,
        credentials=root,
        secure=url.scheme == "https",
        region=settings.region,
        http_client=pool,
    )
    admin = MinioAdmin(
        endpoint=url.netloc, credentials=root, secure=url.scheme == "https", http_client=pool
    )
    _until(lambda: client.list_buckets() is not None, "the store does not answer")
    _until(lambda: bool(_held_targets(admin)), "the store's admin interface does not answer")
    try:
        changed = _targets(admin, given, nats)
        if changed:
            admin.service_restart()  # MinIO takes notification targets at its start only
            _wait_for_targets(client, settings)
        changed += _buckets(client, settings)
        changed += _users(admin, given)
        changed += _rules(client, settings)
    except (MinioAdminException, S3Error) as error:
        raise SystemExit(f"the store at {settings.url} refused: {error}") from error
    return changed


def _wait_for_targets(client: Minio, settings: StoreSettings) -> None:
    """A restarted store answers before it knows its targets; a rule that names them tells."""
    probe = f"{settings.songs}-provision"

    def known() -> bool:
        if not client.bucket_exists(probe):
            client.make_bucket(probe)
        client.set_bucket_notification(probe, _config(settings.songs, [""]))
        return True

    _until(known, "the store does not know its notification targets")
    client.remove_bucket(probe)


def _until(probe: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + _READY_S
    while True:
        try:
            if probe():
                return
            reason = ""
        except _NOT_YET as error:
            reason = f": {error}"
            for code in _REFUSED:
                if code in str(error):
                    raise SystemExit(
                        f"the store refuses STORE_ACCESS_KEY and STORE_SECRET_KEY: {code}"
                    ) from error
        if time.monotonic() > end:
            raise SystemExit(f"{otherwise} after {_READY_S} s{reason}")
        time.sleep(0.1)


def _targets(admin: MinioAdmin, given: ProvisionSettings, nats: BusSettings) -> list[str]:
    """Two per bucket: a fast one, which forgets what it cannot send, and a sure one with a
    queue on disk, which replays every 3 s. The bridge drops the second copy.
    """
    address = urlsplit(nats.url)
    settings, queues = given.store, given.store_queue_dir
    held = _held_targets(admin)
    changed = []
    for bucket, subject in (
        (settings.songs, bus.SONGS_SUBJECT),
        (settings.stems, bus.STEMS_SUBJECT),
    ):
        for kind in ("fast", "sure"):
            wanted = {
                "address": f"{address.hostname}:{address.port or 4222}",
                "subject": subject,
                "username": nats.user,
                "password": nats.password,
                "comment": _fingerprint(nats.password),
                "jetstream": "on",
                "queue_dir": f"{queues}/{bucket}" if kind == "sure" else "",
                "queue_limit": "100000" if kind == "sure" else "0",
            }
            name = f"notify_nats:{bucket}_{kind}"
            there = held.get(name, {})
            # The store does not tell passwords: the comment says whether it is this one.
            shown = {key: value for key, value in wanted.items() if key != "password"}
            if any(there.get(key, "") != value for key, value in shown.items()):
                admin.config_set(name, {k: v for k, v in wanted.items() if v != ""})
                changed.append(f"target {name}")
    return changed


def _fingerprint(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:12]


def _held_targets(admin: MinioAdmin) -> dict[str, dict[str, str]]:
    try:
        told = admin.config_get("notify_nats")
    except UnboundLocalError as error:  # so minio 7.2.20 hides what the store answered
        raise error.__context__ or error from None
    lines = [shlex.split(line) for line in told.splitlines() if line]
    return {
        words[0]: dict(word.split("=", 1) for word in words[1:] if "=" in word) for words in lines
    }


def _buckets(client: Minio, settings: StoreSettings) -> list[str]:
    changed = []
    for name in (settings.songs, settings.stems, settings.models):
        if not client.bucket_exists(name):
            client.make_bucket(name)
            changed.append(f"bucket {name}")
    return changed


def _users(admin: MinioAdmin, given: ProvisionSettings) -> list[str]:
    settings = given.store
    changed = []
    there = json.loads(admin.user_list())
    names = {"songs": settings.songs, "stems": settings.stems, "models": settings.models}
    for part in PARTS:
        secret = given.store_secret(part)
        policy = (_POLICIES / f"{part}.json").read_text()
        for word, name in names.items():
            policy = policy.replace("{" + word + "}", name)
        admin.policy_add(f"micro-demucs-{part}", policy=json.loads(policy))
        admin.user_add(part, secret)
        if part not in there or there[part].get("policyName") != f"micro-demucs-{part}":
            admin.attach_policy([f"micro-demucs-{part}"], user=part)
            changed.append(f"user {part}")
    return changed


def _rules(client: Minio, settings: StoreSettings) -> list[str]:
    changed = []
    for bucket, suffixes in (
        (settings.songs, [""]),  # suffix filters know no case: the bridge decides what is a song
        (settings.stems, [f"/{MANIFEST}", f"/{FAILURE}"]),
    ):
        wanted = _config(bucket, suffixes)
        if _said(client.get_bucket_notification(bucket)) != _said(wanted):
            client.set_bucket_notification(bucket, wanted)
            changed.append(f"rules of {bucket}")
    return changed


def _config(bucket: str, suffixes: list[str]) -> NotificationConfig:
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


def _said(config: NotificationConfig) -> set[tuple[str, str]]:
    return {
        (
            (one.queue or "").split("sqs:")[-1].split(":", 1)[1],
            one.suffix_filter_rule.value if one.suffix_filter_rule else "",
        )
        for one in config.queue_config_list or []
    }
