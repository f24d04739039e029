"""What the bus must hold: streams, durable pull consumers and key-value buckets."""

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import (
    ConsumerConfig,
    KeyValueConfig,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import BadRequestError, NotFoundError

from microdemucs import bus

_HOUR, _DAY = 3600.0, 86400.0
ACK_WAIT_S = 30.0
"""How long a message may be with a bridge that says nothing; it says so every ACK_WAIT_S / 3."""

NOTIFIED = "told"
"""Song key → eTag of the manifest or failure that the sink has been told of."""


def _streams(replicas: int) -> list[StreamConfig]:
    kept = StorageType.FILE
    return [
        # What a song's notification says is in the buckets too: the sweep finds what is older.
        StreamConfig(
            name=bus.SONGS,
            subjects=[bus.SONGS_SUBJECT, bus.RANGE_SUBJECT, bus.REQUEUE_SUBJECT],
            max_age=14 * _DAY,
            storage=kept,
            num_replicas=replicas,
        ),
        StreamConfig(
            name=bus.STEMS,
            subjects=[bus.STEMS_SUBJECT, bus.STARTED_SUBJECT],
            max_age=14 * _DAY,
            storage=kept,
            num_replicas=replicas,
        ),
        # The window is as long as a second notification of the same result may come.
        StreamConfig(
            name=bus.DELIVERIES,
            subjects=["deliveries.*"],
            retention=RetentionPolicy.WORK_QUEUE,
            duplicate_window=2 * _HOUR,
            storage=kept,
            num_replicas=replicas,
        ),
        StreamConfig(
            name=bus.DEAD,
            subjects=["dead.>"],
            allow_direct=True,
            storage=kept,
            num_replicas=replicas,
        ),
    ]


# The bridge counts attempts and writes the dead letter, so the server's own limit is off: at that
# limit it would stop delivering and leave the message where nobody looks.
_CONSUMERS = {
    "separate": (bus.SONGS, 1000),
    "intake": (bus.SONGS, 1000),
    "results": (bus.STEMS, 1000),
    "deliveries": (bus.DELIVERIES, 10_000),  # most of these wait for their next attempt
}


def _buckets(replicas: int) -> list[KeyValueConfig]:
    def bucket(name: str, ttl: float = 0.0) -> KeyValueConfig:
        return KeyValueConfig(bucket=name, ttl=ttl or None, direct=True, replicas=replicas)

    return [
        bucket(bus.JOBS, 30 * _DAY),  # a view of the buckets: what is older is rebuilt on demand
        bucket(bus.CANCELS, 7 * _DAY),
        bucket(bus.LEASES, 15),  # a killed function's song is free again after this
        bucket(bus.RESULTS),
        bucket(bus.WEBHOOKS),
        bucket(NOTIFIED, 30 * _DAY),
    ]


async def provision_bus(client: Client, replicas: int = 1) -> list[str]:
    """Make or mend everything; what was made or changed, in words. Safe to call again."""
    js = client.jetstream(timeout=10)
    changed: list[str] = []
    for wanted in _streams(replicas):
        if await _stream(js, wanted):
            changed.append(f"stream {wanted.name}")
    for name, (stream, pending) in _CONSUMERS.items():
        consumer = ConsumerConfig(
            durable_name=name, ack_wait=ACK_WAIT_S, max_ack_pending=pending, max_deliver=-1
        )
        if await _consumer(js, stream, consumer):
            changed.append(f"consumer {stream}.{name}")
    for bucket in _buckets(replicas):
        if await _bucket(js, bucket):
            changed.append(f"bucket {bucket.bucket}")
    return changed


async def _consumer(js: JetStreamContext, stream: str, wanted: ConsumerConfig) -> bool:
    try:
        held = (await js.consumer_info(stream, wanted.durable_name or "")).config
    except NotFoundError:
        held = ConsumerConfig()
    if (held.ack_wait, held.max_ack_pending, held.max_deliver) == (
        wanted.ack_wait,
        wanted.max_ack_pending,
        wanted.max_deliver,
    ):
        return False
    await js.add_consumer(stream, wanted)  # or changes the one that is there
    return True


async def _bucket(js: JetStreamContext, wanted: KeyValueConfig) -> bool:
    ttl = wanted.ttl or 0
    try:
        held = (await js.stream_info(f"KV_{wanted.bucket}")).config
    except NotFoundError:
        await js.create_key_value(wanted)
        return True
    if (held.max_age or 0, held.num_replicas) == (ttl, wanted.replicas):
        return False
    window = min(held.duplicate_window, ttl or held.duplicate_window)
    await js.update_stream(
        held.evolve(max_age=ttl, num_replicas=wanted.replicas, duplicate_window=window)
    )
    return True


async def _stream(js: JetStreamContext, wanted: StreamConfig) -> bool:
    try:
        held = (await js.stream_info(wanted.name or "")).config
    except NotFoundError:
        await js.add_stream(wanted)
        return True
    if (held.subjects, held.max_age, held.num_replicas) == (
        wanted.subjects,
        wanted.max_age or 0,
        wanted.num_replicas,
    ):
        return False
    try:
        await js.update_stream(wanted)
    except BadRequestError as error:
        raise SystemExit(
            f"stream {wanted.name} cannot be changed: {error.description}. "
            "Look at it with `nats stream info`, and mend or remove it."
        ) from error
    return True
