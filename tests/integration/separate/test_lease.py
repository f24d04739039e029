"""The lease on a song, on a real bus."""

import threading

import pytest

from functions.separate.context import Context
from functions.separate.job_runner import run_job
from functions.separate.lease import Lease
from microdemucs.bus import LEASES, Bus
from microdemucs.jobs import song_digest
from microdemucs.problems import RetryLater
from tests.integration.separate.jobs import PutSong, ReadObjects


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """The key of a song that no other test has."""
    return str(request.node.name)


@pytest.fixture
def lease(bus: Bus, key: str) -> Lease:
    """A lease that was taken."""
    lease = Lease(bus, key, "we")
    lease.take()
    return lease


def expire(bus: Bus, key: str) -> None:
    """Delete the entry, as the bus does if nobody renews it."""
    bus.delete(LEASES, song_digest(key))


def owner(bus: Bus, key: str) -> bytes | None:
    """Return who has the lease, if somebody has it."""
    entry = bus.get(LEASES, song_digest(key))
    return entry.value.split()[0] if entry and entry.value else None


def test_a_renewed_lease_is_not_lost(lease: Lease) -> None:
    lease.renew()
    assert not lease.is_lost


def test_an_expired_lease_is_lost_for_good_also_if_nobody_has_it(
    lease: Lease, bus: Bus, key: str
) -> None:
    expire(bus, key)
    lease.renew()
    lease.renew()
    assert lease.is_lost
    assert owner(bus, key) is None


def test_an_expired_lease_that_another_process_took_is_lost(
    lease: Lease, bus: Bus, key: str
) -> None:
    expire(bus, key)
    Lease(bus, key, "they").take()
    lease.renew()
    assert lease.is_lost


def test_a_lost_lease_is_not_released(lease: Lease, bus: Bus, key: str) -> None:
    expire(bus, key)
    Lease(bus, key, "they").take()
    lease.renew()
    lease.release()
    assert owner(bus, key) == b"they"


def test_a_released_lease_can_be_taken(lease: Lease, bus: Bus, key: str) -> None:
    lease.release()
    Lease(bus, key, "they").take()
    assert owner(bus, key) == b"they"


def test_taking_a_lease_waits_for_its_release(lease: Lease, bus: Bus, key: str) -> None:
    threading.Timer(0.5, lease.release).start()
    Lease(bus, key, "they").take()
    assert owner(bus, key) == b"they"


def test_a_song_with_a_lease_is_not_separated(
    put: PutSong, song: bytes, context: Context, objects: ReadObjects, bus: Bus
) -> None:
    job = put(song)
    other = Lease(bus, job.song.key, "another process")
    other.take()
    with pytest.raises(RetryLater, match="Another process"):
        run_job(job, context)
    assert objects(job) == {}
    other.release()
    run_job(job, context)
    assert "manifest.json" in objects(job)


def test_a_job_releases_its_lease(put: PutSong, song: bytes, context: Context, bus: Bus) -> None:
    job = put(song)
    run_job(job, context)
    assert owner(bus, job.song.key) is None
