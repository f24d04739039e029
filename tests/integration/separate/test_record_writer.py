"""Who writes a job's record, on a real bus."""

import pytest

from functions.separate.lease import Lease
from functions.separate.record_writer import RecordWriter, is_for_event
from microdemucs.bus import JOBS, LEASES, Bus
from microdemucs.jobs import JobRecord, JobState, song_digest
from microdemucs.problems import RetryLater

CANCELLED_AT = "2026-11-22T17:25:45.000Z"


@pytest.fixture
def lease(bus: Bus, record: JobRecord) -> Lease:
    """A lease that was taken."""
    lease = Lease(bus, record.key, "we")
    lease.take()
    return lease


@pytest.fixture
def record(request: pytest.FixtureRequest) -> JobRecord:
    """The record of a job that no other test has."""
    name = request.node.name
    return JobRecord(song_digest(name), "songs", name, "etag")


def stored(bus: Bus, record: JobRecord) -> JobRecord:
    entry = bus.get(JOBS, record.id)
    assert entry
    assert entry.value
    return JobRecord.read(entry.value)


def test_a_record_is_written_and_written_again(bus: Bus, lease: Lease, record: JobRecord) -> None:
    writer = RecordWriter(bus, lease, record.id)
    assert writer.earlier is None
    for progress in (0.1, 0.2):
        record.progress = progress
        writer.write(record)
    assert stored(bus, record) == record


def test_an_earlier_record_is_replaced(bus: Bus, lease: Lease, record: JobRecord) -> None:
    bus.put(JOBS, record.id, record.write())
    writer = RecordWriter(bus, lease, record.id)
    assert writer.earlier == record
    record.state = JobState.DONE
    writer.write(record)
    assert stored(bus, record).state == JobState.DONE


def test_a_record_that_somebody_wrote_meanwhile_is_replaced_by_the_owner_of_the_lease(
    bus: Bus, lease: Lease, record: JobRecord
) -> None:
    writer = RecordWriter(bus, lease, record.id)
    bus.put(JOBS, record.id, record.write())
    record.state = JobState.DONE
    writer.write(record)
    assert stored(bus, record).state == JobState.DONE


def test_a_record_that_was_deleted_meanwhile_is_written(
    bus: Bus, lease: Lease, record: JobRecord
) -> None:
    writer = RecordWriter(bus, lease, record.id)
    writer.write(record)
    bus.delete(JOBS, record.id)
    writer.write(record)
    assert stored(bus, record) == record


def test_without_the_lease_a_done_job_does_not_run_again(
    bus: Bus, lease: Lease, record: JobRecord
) -> None:
    writer = RecordWriter(bus, lease, record.id)
    writer.write(record)
    bus.delete(LEASES, song_digest(record.key))  # as the bus does if nobody renews it
    done = JobRecord(record.id, "songs", record.key, "etag", state=JobState.DONE)
    bus.put(JOBS, record.id, done.write())
    record.state = JobState.RUNNING
    with pytest.raises(RetryLater, match="Another process"):
        writer.write(record)
    assert stored(bus, record) == done


@pytest.mark.parametrize(
    ("event_time", "expected"),
    [("2026-11-22T17:25:44.000Z", CANCELLED_AT), ("2026-11-22T17:25:46.000Z", "")],
    ids=["of this run", "of an earlier run"],
)
def test_a_cancel_request_in_the_record_is_kept_if_it_is_for_this_run(
    bus: Bus, lease: Lease, record: JobRecord, event_time: str, expected: str
) -> None:
    writer = RecordWriter(bus, lease, record.id, event_time)
    cancelled = JobRecord(record.id, "songs", record.key, "etag", cancel_requested=CANCELLED_AT)
    bus.put(JOBS, record.id, cancelled.write())
    writer.write(record)
    assert (record.cancel_requested, stored(bus, record)) == (expected, record)


def test_no_cancel_request_is_for_no_event() -> None:
    assert not is_for_event("", "2026-11-22T17:25:44.000Z")
