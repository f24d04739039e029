"""A real bridge between a bus and functions, and what goes in and comes out."""

from contextlib import contextmanager

from local.ports import free_port
from microdemucs.events import ObjectCreated, notification
from microdemucs.jobs import JobRecord, job_id
from minio_events.dead_letters import letters
from testing.waiting import wait_until


def song(key, etag="e1"):
    return ObjectCreated("songs", key, 10, etag, time="2026-11-22T17:25:34.544Z")


def publish(bus, *messages):
    """Put (subject, body) messages on the bus, as the bridge's own user may."""

    async def send(client):
        for subject, body in messages:
            await client.jetstream().publish(subject, body)

    bus.on_bus("events", send)


def put(bus, *songs, request_id=""):
    """What the store says of `songs`: each with a request of its own, or copies of one."""
    made = [
        ("minio.songs", notification(one, request_id or f"r-{one.key}-{one.etag}")) for one in songs
    ]
    publish(bus, *made)


@contextmanager
def bridged(bus, separate, notify=None, **settings):
    addresses = {
        "SEPARATE_URL": separate if isinstance(separate, str) else separate.url,
        "NOTIFY_URL": notify.url if notify else f"http://127.0.0.1:{free_port()}",
    }
    bus.start("bridge", "intake", **addresses | settings)
    wait_until(lambda: bus.logged("bridge started"), 30, "the bridge has started")
    yield
    for part in {"bridge", "intake"} & set(bus.processes):
        bus.stop(part)


def buried(bus):
    return bus.on_bus("events", letters)


def record(bus, one):
    async def look(client):
        jobs = await client.jetstream().key_value("jobs")
        return JobRecord.read((await jobs.get(job_id(one))).value)

    return bus.on_bus("events", look)
