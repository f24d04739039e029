"""What a process may write beside a song, on a real store and a real bus."""

from collections.abc import Callable, Iterator, Mapping

import pytest

from functions.separate.lease import Lease
from functions.separate.output.fence import NO_FENCE, LeaseFence, Send, SongFence
from microdemucs.bucket import Bucket
from microdemucs.bus import LEASES, Bus
from microdemucs.jobs import song_digest
from microdemucs.problems import RetryLater
from testing.stack import Stack
from testing.waiting import wait_until

CutOff = tuple[Lease, Callable[[], None]]


@pytest.fixture
def lease(bus: Bus, song_key: str) -> Lease:
    """A lease that was taken."""
    lease = Lease(bus, song_key, "we")
    lease.take()
    return lease


@pytest.fixture
def key(song_key: str) -> str:
    return f"{song_key}/drums.mp3"


def expire(bus: Bus, song_key: str) -> None:
    """Delete the lease's entry, as the bus does if nobody renews it."""
    bus.delete(LEASES, song_digest(song_key))


def sending(stems: Bucket, key: str, data: bytes) -> Send:
    def send(condition: Mapping[str, str]) -> str:
        return stems.put_if(key, data, "audio/mpeg", condition).etag or ""

    return send


def test_an_object_is_written_and_written_again(
    stems: Bucket, lease: Lease, song_key: str, key: str
) -> None:
    fence = SongFence(lease, stems, song_key)
    fence.commit(key, sending(stems, key, b"first"))
    fence.commit(key, sending(stems, key, b"second"))
    assert stems.read(key) == b"second"


def test_an_object_from_before_the_lease_is_replaced(
    stems: Bucket, lease: Lease, song_key: str, key: str
) -> None:
    stems.write(key, b"earlier", "audio/mpeg")
    SongFence(lease, stems, song_key).commit(key, sending(stems, key, b"ours"))
    assert stems.read(key) == b"ours"


def test_without_the_lease_nothing_is_written(
    stems: Bucket, lease: Lease, bus: Bus, song_key: str, key: str
) -> None:
    fence = SongFence(lease, stems, song_key)
    expire(bus, song_key)
    with pytest.raises(RetryLater, match="Another process"):
        fence.commit(key, sending(stems, key, b"ours"))
    assert stems.read(key) is None


@pytest.mark.parametrize("existing", [b"", b"earlier"], ids=["a new object", "an existing one"])
def test_a_lease_that_is_lost_between_its_check_and_the_write_replaces_nothing(
    stems: Bucket, lease: Lease, bus: Bus, song_key: str, key: str, existing: bytes
) -> None:
    if existing:
        stems.write(key, existing, "audio/mpeg")
    fence = SongFence(lease, stems, song_key)

    def send_after_standing_still(condition: Mapping[str, str]) -> str:
        expire(bus, song_key)
        stems.write(key, b"theirs", "audio/mpeg")
        return sending(stems, key, b"ours")(condition)

    with pytest.raises(RetryLater, match="Another process"):
        fence.commit(key, send_after_standing_still)
    assert stems.read(key) == b"theirs"


@pytest.mark.parametrize("is_removed", [True, False], ids=["removed", "changed"])
def test_an_object_that_somebody_changed_is_written_by_the_owner_of_the_lease(
    stems: Bucket, lease: Lease, song_key: str, key: str, is_removed: bool
) -> None:
    stems.write(key, b"earlier", "audio/mpeg")
    fence = SongFence(lease, stems, song_key)
    if is_removed:
        stems.remove(key)
    else:
        stems.write(key, b"changed", "audio/mpeg")
    fence.commit(key, sending(stems, key, b"ours"))
    assert stems.read(key) == b"ours"


@pytest.fixture
def cut_off(stack: Stack, bus: Bus, song_key: str) -> Iterator[CutOff]:
    """Return a function that cuts the owner of a new lease off from the bus, which others reach."""
    own_bus = Bus(stack.bus_settings("separate"), "cut off")
    wait_until(lambda: own_bus.is_up, 60, "the bus is connected")
    own_lease = Lease(own_bus, song_key, "cut off")
    own_lease.take()

    def cut() -> None:
        own_bus.close()
        wait_until(lambda: not own_bus.is_up, 60, "the bus is away")
        expire(bus, song_key)

    yield own_lease, cut
    own_bus.close()


def test_a_process_that_is_cut_off_from_the_bus_writes_what_nobody_else_has_written(
    stems: Bucket, cut_off: CutOff, song_key: str, key: str
) -> None:
    lease, cut = cut_off
    fence = SongFence(lease, stems, song_key)
    cut()
    assert fence.commit(key, sending(stems, key, b"ours"))
    assert stems.read(key) == b"ours"


def test_a_process_that_is_cut_off_from_the_bus_replaces_nothing_of_its_successor(
    stems: Bucket, cut_off: CutOff, song_key: str, key: str
) -> None:
    lease, cut = cut_off
    fence = SongFence(lease, stems, song_key)
    cut()
    stems.write(key, b"theirs", "audio/mpeg")
    with pytest.raises(RetryLater, match="Another process"):
        fence.commit(key, sending(stems, key, b"ours"))
    assert stems.read(key) == b"theirs"


def test_a_process_that_is_cut_off_from_the_bus_removes_only_what_it_remembers(
    stems: Bucket, cut_off: CutOff, song_key: str, key: str
) -> None:
    lease, cut = cut_off
    earlier = stems.write(key, b"earlier", "audio/mpeg").etag
    fence = SongFence(lease, stems, song_key)
    assert fence.may_remove(f"{song_key}/bass.mp3", "any")
    cut()
    assert fence.may_remove(key, str(earlier))
    assert not fence.may_remove(key, "of another version")
    assert not fence.may_remove(f"{song_key}/bass.mp3", "any")


def test_without_the_lease_nothing_is_removed(
    stems: Bucket, lease: Lease, song_key: str, key: str
) -> None:
    earlier = stems.write(key, b"earlier", "audio/mpeg").etag
    fence = SongFence(lease, stems, song_key)
    lease.lose("a test")
    assert not fence.may_remove(key, str(earlier))
    assert not LeaseFence(lease).may_remove(key, str(earlier))


def test_what_another_run_of_the_job_has_made_is_not_made_again(
    stems: Bucket, lease: Lease, song_key: str, key: str
) -> None:
    fence = SongFence(lease, stems, song_key)
    stems.write(key, b"theirs", "audio/mpeg")
    assert not fence.commit(
        key, sending(stems, key, b"ours"), is_done=lambda: stems.read(key) == b"theirs"
    )
    assert stems.read(key) == b"theirs"


def test_a_result_of_a_range_is_written_with_the_lease_only(
    stems: Bucket, lease: Lease, bus: Bus, song_key: str, key: str
) -> None:
    fence = LeaseFence(lease)
    fence.commit(key, sending(stems, key, b"ours"))
    expire(bus, song_key)
    with pytest.raises(RetryLater, match="Another process"):
        fence.commit(key, sending(stems, key, b"late"))
    with pytest.raises(RetryLater, match="Another process"):
        fence.ensure_held()
    assert stems.read(key) == b"ours"


def test_without_a_fence_everything_is_written(stems: Bucket, key: str) -> None:
    NO_FENCE.ensure_held()
    assert NO_FENCE.may_remove(key, "any")
    NO_FENCE.commit(key, sending(stems, key, b"ours"))
    assert stems.read(key) == b"ours"
