"""Create or update the streams, durable pull consumers and key-value buckets on the bus."""

from contextlib import suppress

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import (
    ConsumerConfig,
    DiscardPolicy,
    KeyValueConfig,
    RePublish,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import BadRequestError, KeyWrongLastSequenceError, NotFoundError

from microdemucs import bus
from microdemucs.entries import CHANGES
from microdemucs.webhooks import CALLBACK_DAYS, is_callback

_HOUR, _DAY = 3600.0, 86400.0
ACK_WAIT_S = 30.0
"""The server redelivers a message after this time. A consumer that still works on the message
extends the wait every ACK_WAIT_S / 3."""

NOTIFIED = "notified"
"""Key-value bucket: song digest → eTag of the result document that the sink accepted."""

_ATTEMPTS_BYTES = 64 << 20  # 50 attempts of 1,000 webhooks take some 25 MB
_OLD_NOTIFIED = "told"
_WATCHED = (bus.JOBS,)
_OLD_CONSUMER = "deliveries"
_CLEANED = {"micro-demucs-callbacks": "expire"}


def _streams(replicas: int) -> list[StreamConfig]:
    storage = StorageType.FILE
    announced = RePublish("deliveries.>", f"{bus.READY_SUBJECT}.>", headers_only=True)
    return [
        # Older notifications are not needed: the sweep finds the same songs in the buckets.
        StreamConfig(
            name=bus.SONGS,
            subjects=[
                *(bus.SONGS_SUBJECT, bus.RANGE_SUBJECT),
                *(bus.REQUEUE_SUBJECT, bus.OLD_REQUEUE_SUBJECT),
            ],
            max_age=14 * _DAY,
            storage=storage,
            num_replicas=replicas,
        ),
        # The bridge copies what it has to do from SONGS, and removes it when it is done.
        StreamConfig(
            name=bus.QUEUE,
            subjects=[f"{bus.QUEUE_SUBJECT_PREFIX}.*"],
            max_age=14 * _DAY,
            duplicate_window=_HOUR,
            allow_direct=True,
            storage=storage,
            num_replicas=replicas,
        ),
        StreamConfig(
            name=bus.STEMS,
            subjects=[bus.STEMS_SUBJECT, bus.STARTED_SUBJECT, bus.FINISHED_SUBJECT],
            max_age=14 * _DAY,
            storage=storage,
            num_replicas=replicas,
        ),
        # The duplicate window covers the time in which a result may be notified a second time.
        # The bridge reads and deletes the messages without a consumer (minio_events/deliveries.py).
        # notify writes to OUTBOX only: the server requires roll-ups for scheduled messages, and in
        # a stream that allows them, one message can remove all others.
        StreamConfig(
            name=bus.OUTBOX,
            subjects=[f"{bus.NEW_SUBJECT}.>"],
            retention=RetentionPolicy.WORK_QUEUE,
            duplicate_window=2 * _HOUR,
            allow_direct=True,
            republish=announced,
            storage=storage,
            num_replicas=replicas,
        ),
        StreamConfig(
            name=bus.DELIVERIES,
            subjects=[f"{bus.DUE_SUBJECT}.>", f"{bus.WAITING_SUBJECT}.*", bus.OLD_DUE_SUBJECT],
            retention=RetentionPolicy.WORK_QUEUE,
            duplicate_window=2 * _HOUR,
            allow_direct=True,
            allow_msg_schedules=True,
            republish=announced,
            storage=storage,
            num_replicas=replicas,
        ),
        StreamConfig(
            name=bus.DEAD,
            subjects=["dead.>"],
            allow_direct=True,
            storage=storage,
            num_replicas=replicas,
        ),
        # For people who look for an error: notify does not wait until an attempt is stored.
        StreamConfig(
            name=bus.ATTEMPTS,
            subjects=[f"{bus.ATTEMPTS_SUBJECT}.*"],
            max_age=7 * _DAY,
            max_msgs_per_subject=bus.ATTEMPTS_KEPT,
            max_bytes=_ATTEMPTS_BYTES,
            discard=DiscardPolicy.OLD,
            allow_direct=True,
            storage=storage,
            num_replicas=replicas,
        ),
    ]


# Name → stream, and how many messages may be unacknowledged. The bridge acknowledges a song as soon
# as it is in its submitter's queue. It counts attempts and writes
# the dead letter, so the server's own limit is off: at that limit the server would stop delivering
# and leave the message in the stream, where nobody looks.
_CONSUMERS = {
    "separate": (bus.SONGS, 1000),
    "intake": (bus.SONGS, 1000),
    "results": (bus.STEMS, 1000),
}


def _buckets(replicas: int, jobs_days: int) -> list[KeyValueConfig]:
    def bucket(name: str, ttl: float = 0.0) -> KeyValueConfig:
        changes = RePublish(src=f"$KV.{name}.>", dest=f"{CHANGES}.{name}.>", headers_only=True)
        return KeyValueConfig(
            bucket=name,
            ttl=ttl or None,
            direct=True,
            replicas=replicas,
            republish=changes if name in _WATCHED else None,
        )

    return [
        bucket(bus.JOBS, jobs_days * _DAY),  # a view of the buckets
        bucket(bus.CANCELS, 7 * _DAY),
        bucket(bus.LEASES, 15),  # after this, the song of a killed function is free again
        bucket(bus.RESULTS),
        bucket(bus.WEBHOOKS),  # callbacks have a time limit each
        bucket(bus.IDEMPOTENCY, _DAY),
        bucket(NOTIFIED, 30 * _DAY),
    ]


async def provision_bus(client: Client, replicas: int = 1, jobs_days: int = 30) -> list[str]:
    """Create or update everything, and return the changes, such as "stream SONGS".

    Job records are kept for `jobs_days` (0: for ever).
    It can be called again at any time. Raises SystemExit or nats.errors.Error.
    """
    js = client.jetstream(timeout=10)
    changes: list[str] = []
    for stream in _streams(replicas):
        if await _set_stream(js, stream):
            changes.append(f"stream {stream.name}")
    for name, (stream_name, max_pending) in _CONSUMERS.items():
        consumer = ConsumerConfig(
            durable_name=name, ack_wait=ACK_WAIT_S, max_ack_pending=max_pending, max_deliver=-1
        )
        if await _set_consumer(js, stream_name, consumer):
            changes.append(f"consumer {stream_name}.{name}")
    for bucket in _buckets(replicas, jobs_days):
        if await _set_bucket(js, bucket):
            changes.append(f"bucket {bucket.bucket}")
    if await _remove_old_consumer(js):
        changes.append(f"consumer {bus.DELIVERIES}.{_OLD_CONSUMER}")
    if await _clean_webhooks(js):
        changes.append(f"entries of bucket {bus.WEBHOOKS}")
    if await _rename_notified(js):
        changes.append(f"bucket {_OLD_NOTIFIED}")
    return changes


async def _set_stream(js: JetStreamContext, config: StreamConfig) -> bool:
    try:
        existing = (await js.stream_info(config.name or "")).config
    except NotFoundError:
        await js.add_stream(config)
        return True
    if _compared(existing) == _compared(config):
        return False
    try:
        await js.update_stream(config)
    except BadRequestError as error:
        raise SystemExit(
            f"stream {config.name} cannot be changed: {error.description}. "
            "See `nats stream info`; repair the stream, or remove it."
        ) from error
    return True


def _compared(config: StreamConfig) -> tuple[object, ...]:
    """Return the parts of a stream's configuration that a release may change."""
    return (
        config.subjects,
        config.max_age or 0,
        config.num_replicas,
        config.allow_direct or False,
        config.allow_msg_schedules or False,
        config.republish and (config.republish.src, config.republish.dest),
    )


async def _set_consumer(js: JetStreamContext, stream: str, config: ConsumerConfig) -> bool:
    try:
        existing = (await js.consumer_info(stream, config.durable_name or "")).config
    except NotFoundError:
        existing = ConsumerConfig()
    if (existing.ack_wait, existing.max_ack_pending, existing.max_deliver) == (
        config.ack_wait,
        config.max_ack_pending,
        config.max_deliver,
    ):
        return False
    await js.add_consumer(stream, config)  # creates or updates
    return True


async def _set_bucket(js: JetStreamContext, config: KeyValueConfig) -> bool:
    ttl, stream = config.ttl or 0, f"KV_{config.bucket}"
    is_new = False
    try:
        existing = (await js.stream_info(stream)).config
    except NotFoundError:
        await js.create_key_value(config)
        existing = (await js.stream_info(stream)).config
        is_new = True
    if not is_new and (
        *(existing.max_age or 0, existing.num_replicas),
        *(existing.allow_rollup_hdrs, existing.republish, existing.allow_msg_ttl or False),
    ) == (ttl, config.replicas, False, config.republish, True):
        return False
    window = min(existing.duplicate_window, ttl or existing.duplicate_window)
    await js.update_stream(
        existing.evolve(
            max_age=ttl,
            num_replicas=config.replicas,
            duplicate_window=window,
            # nats-py allows them for its purge of a key, which is not used here: one message with
            # the header `Nats-Rollup: all` would remove all entries of the bucket.
            allow_rollup_hdrs=False,
            republish=config.republish,
            # Callbacks, markers of deletions and claims have a time limit each. nats-py allows that
            # in every bucket that it creates, and the server does not take it back.
            allow_msg_ttl=True,
        )
    )
    return True


async def _remove_old_consumer(js: JetStreamContext) -> bool:
    """Remove the consumer of deliveries: the bridge needs none any more. For one release."""
    with suppress(NotFoundError):
        return await js.delete_consumer(bus.DELIVERIES, _OLD_CONSUMER)
    return False


async def _clean_webhooks(js: JetStreamContext) -> bool:
    """Remove what earlier releases left behind: markers of deletions, callbacks without a limit.

    For one release. Once that is done, the stream's metadata say so.
    """
    stream, number = f"KV_{bus.WEBHOOKS}", 0
    config = (await js.stream_info(stream)).config
    if _CLEANED.items() <= (config.metadata or {}).items():
        return False
    metadata = (config.metadata or {}) | _CLEANED
    await js.update_stream(config.evolve(allow_msg_ttl=True))
    while True:
        try:
            entry = await js.get_msg(stream, number + 1, f"$KV.{bus.WEBHOOKS}.>", next=True)
        except NotFoundError:
            await js.update_stream(config.evolve(allow_msg_ttl=True, metadata=metadata))
            return True
        number, subject = entry.seq or number + 1, entry.subject or ""
        headers = entry.headers or {}
        if headers.get("KV-Operation") in ("DEL", "PURGE"):
            await js.purge_stream(stream, seq=number + 1, subject=subject)
        elif (
            is_callback(subject.removeprefix(f"$KV.{bus.WEBHOOKS}.")) and "Nats-TTL" not in headers
        ):
            limits = {
                "Nats-TTL": str(round(CALLBACK_DAYS * _DAY)),
                "Nats-Expected-Last-Subject-Sequence": str(number),
            }
            with suppress(BadRequestError):  # it has been written again
                await js.publish(subject, entry.data or b"", headers=limits)


async def _rename_notified(js: JetStreamContext) -> bool:
    """Copy the entries of the bucket's old name, and delete it. For one release."""
    stream, prefix = f"KV_{_OLD_NOTIFIED}", f"$KV.{_OLD_NOTIFIED}."
    try:
        await js.stream_info(stream)
    except NotFoundError:
        return False
    notified = await js.key_value(NOTIFIED)
    number = 0
    while True:
        try:
            entry = await js.get_msg(stream, number + 1, f"{prefix}>", next=True)
        except NotFoundError:
            break
        number = entry.seq or number + 1
        if entry.data:  # not a deletion
            key = (entry.subject or "").removeprefix(prefix)
            with suppress(KeyWrongLastSequenceError):  # there is a newer entry
                await notified.create(key, entry.data)
    await js.delete_key_value(_OLD_NOTIFIED)
    return True
