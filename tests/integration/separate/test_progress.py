"""What a job publishes while it runs, and that it does not need the bus: on a bus of its own."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import nats
import pytest
from minio import Minio

from functions.separate.context import Context
from functions.separate.job_runner import run_job
from functions.separate.lease import Lease
from functions.separate.progress import CheckSong, ProgressReporter, Publish
from functions.separate.record_writer import RecordWriter
from local.ports import free_port
from microdemucs import shutdown
from microdemucs.bus import JOBS, STARTED_SUBJECT, Bus, Entry
from microdemucs.jobs import JobRecord
from microdemucs.messages import Started
from microdemucs.problems import RetryLater
from microdemucs.settings import BusSettings
from microdemucs.store import ObjectChanged
from minio_events.bus_setup import provision_bus
from testing.waiting import wait_until
from tests.integration.separate import sounds
from tests.integration.separate.jobs import PutSong, ReadManifest, ReadObjects


@dataclass(frozen=True)
class Server:
    """A NATS server without passwords."""

    process: "subprocess.Popen[bytes]"
    url: str

    def started_messages(self) -> list[Started]:
        """Return the started messages in the stream of stems."""

        async def read() -> list[Started]:
            client = await nats.connect(self.url)
            stream = client.jetstream()
            state = (await stream.stream_info("STEMS")).state
            messages = [
                await stream.get_msg("STEMS", number)
                for number in range(state.first_seq, state.last_seq + 1)
                if state.messages
            ]
            await client.close()
            return [
                Started.read(message.data or b"")
                for message in messages
                if message.subject == STARTED_SUBJECT
            ]

        return asyncio.run(read())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    port = free_port()
    binary = Path(sys.executable).parent / "nats-server"
    command = [str(binary), "-js", "-sd", str(tmp_path), "-a", "127.0.0.1", "-p", str(port)]
    url = f"nats://127.0.0.1:{port}"

    async def provision() -> None:
        async def ignore(_: Exception) -> None:
            """The server is not up yet."""

        client = await nats.connect(
            url, reconnect_time_wait=0.05, max_reconnect_attempts=200, error_cb=ignore
        )
        await provision_bus(client)
        await client.close()

    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        asyncio.run(provision())
        yield Server(process, url)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def own(server: Server, context: Context) -> Iterator[Context]:
    """The context, with the bus of this test."""
    bus = Bus(BusSettings(server.url, "", ""), "own")
    yield replace(context, bus=bus)
    if server.process.poll() is None:
        bus.close()


@pytest.fixture
def published(own: Context) -> list[JobRecord]:
    """The records that are published from now on; the list grows."""
    records: list[JobRecord] = []

    def add(entry: Entry) -> None:
        assert entry.value
        records.append(JobRecord.read(entry.value))

    caught_up = threading.Event()
    own.bus.watch(JOBS, add, caught_up)
    assert caught_up.wait(10)
    return records


def test_each_phase_is_published(
    own: Context, put: PutSong, song: bytes, published: list[JobRecord]
) -> None:
    run_job(put(song, shifts="20"), own)
    wait_until(lambda: published and published[-1].state == "done")
    assert {"decoding", "separating", "uploading"} <= {record.phase for record in published}


def test_progress_is_published_while_a_phase_runs_and_never_falls(
    own: Context, put: PutSong, published: list[JobRecord]
) -> None:
    data = sounds.file(sounds.music(20, seed=77))
    run_job(put(data, shifts="20"), own)  # some seconds of work
    wait_until(lambda: published and published[-1].state == "done")
    progress = [record.progress for record in published]
    assert progress == sorted(progress)
    assert len({record.progress for record in published if record.phase == "separating"}) > 1


def test_a_job_is_published_as_started_once(
    own: Context, put: PutSong, song: bytes, root: Minio, server: Server
) -> None:
    job = put(song)
    run_job(job, own)
    root.remove_object("stems", f"{job.song.key}/manifest.json")
    run_job(job, own)
    [started] = server.started_messages()
    assert (started.job, started.song.key) == (job.id, job.song.key)
    assert (started.model, started.trace) == ("htdemucs_tiny", job.trace)


def test_a_job_is_done_although_the_bus_goes_away_and_comes_again_for_its_last_record(
    own: Context, put: PutSong, server: Server, manifest: ReadManifest
) -> None:
    job = put(sounds.file(sounds.music(12, seed=78)), shifts="20")
    raised: list[RetryLater] = []

    def run() -> None:
        try:
            run_job(job, own)
        except RetryLater as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def is_separating() -> bool:
        entry = own.bus.get(JOBS, job.id)
        return bool(entry and entry.value and b'"separating"' in entry.value)

    wait_until(is_separating)
    server.process.kill()
    thread.join(180)
    assert not thread.is_alive()
    assert len(manifest(job).stems) == 4
    assert [error.kind for error in raised] == ["bus-away"]


def test_without_a_bus_no_job_begins(
    own: Context, put: PutSong, song: bytes, server: Server, objects: ReadObjects
) -> None:
    job = put(song)
    server.process.kill()
    with pytest.raises(RetryLater) as raised:
        run_job(job, own)
    assert raised.value.kind == "bus-away"
    assert objects(job) == {}


@pytest.fixture
def progress(context: Context) -> ProgressReporter:
    record = JobRecord("a-job", "songs", "a key", "an etag")
    lease = Lease(context.bus, "a key", "we")
    return ProgressReporter(context.bus, lease, record, 5, writer_of(context, lease, record))


def begin(progress: ProgressReporter, phase: str) -> None:
    """Begin and end a phase."""
    with progress.phase(phase) as on_progress:
        on_progress(0.0)


def test_a_stop_waits_for_an_upload_that_can_be_finished(progress: ProgressReporter) -> None:
    shutdown.stopping.set()
    begin(progress, "uploading")
    assert "uploading" in progress.timings


def test_a_stop_counts_the_stems_that_must_be_encoded_again(progress: ProgressReporter) -> None:
    progress.set_reencode_seconds(4 * 3600)
    shutdown.stopping.set()
    with pytest.raises(RetryLater, match="is stopping"):
        begin(progress, "uploading")


def test_progress_is_within_the_range_of_the_work(progress: ProgressReporter) -> None:
    progress.set_range(0.5, 0.7)
    with progress.phase("separating") as on_progress:
        on_progress(0.5)
    assert progress.record.progress == pytest.approx(0.5 + 0.2 * (0.04 + 0.5 * 0.94))


def test_completed_work_is_at_the_end_of_its_range(progress: ProgressReporter) -> None:
    progress.set_range(0.5, 0.7)
    progress.complete()
    assert progress.record.progress == 0.7


def test_a_phase_that_runs_twice_has_one_time(progress: ProgressReporter) -> None:
    begin(progress, "uploading")
    begin(progress, "uploading")
    assert list(progress.timings) == ["uploading"]


def test_a_store_that_is_away_does_not_stop_the_work(context: Context) -> None:
    checks: list[int] = []

    def check() -> None:
        checks.append(1)
        raise RetryLater("store-away", "The store cannot be reached")

    progress = progress_of(context, check)
    with progress.running():
        wait_until(lambda: len(checks) > 1)
        begin(progress, "uploading")


def test_the_work_on_a_song_that_changed_ends(context: Context) -> None:
    def check() -> None:
        raise ObjectChanged("a key")

    def is_interrupted() -> bool:
        try:
            reporter.raise_if_interrupted()
        except ObjectChanged:
            return True
        return False

    reporter = progress_of(context, check)
    with reporter.running():
        wait_until(is_interrupted)


def progress_of(context: Context, check_song: CheckSong) -> ProgressReporter:
    record = JobRecord("another-job", "songs", "a key", "an etag")
    lease = Lease(context.bus, "a key", "we")
    publish = writer_of(context, lease, record)
    return ProgressReporter(context.bus, lease, record, 5, publish, check_song=check_song)


def writer_of(context: Context, lease: Lease, record: JobRecord) -> Publish:
    return RecordWriter(context.bus, lease, record.id).write
