"""The sweep finds and repairs what lost notifications left behind: real MinIO, real NATS."""

import io
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec import structs
from nats.aio.client import Client

from local.ports import free_port
from microdemucs.bucket import Bucket
from microdemucs.bus import STEMS_SUBJECT
from microdemucs.events import ObjectCreated, notification
from microdemucs.jobs import JobRecord, JobState, job_id, options_hash
from microdemucs.options import Options
from microdemucs.problems import now
from minio_events.bus_setup import provision_bus
from minio_events.dead_letters import subject_token
from minio_events.routing import result_calls, song_calls
from testing.stack import Stack
from testing.waiting import wait_until
from tests.integration.minio_events.program import failure_line, run_program, start_program
from tests.integration.minio_events.sweep_stack import NOTHING, SweepStack, manifest_of, without

MakeSweepStack = Callable[..., SweepStack]


@pytest.fixture
def make_sweep_stack(stack: Stack) -> Iterator[MakeSweepStack]:
    """Make sweeps with other limits."""
    made: list[SweepStack] = []

    def make(**limits: float) -> SweepStack:
        made.append(SweepStack(stack, **limits))
        made[-1].clear()
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def swept(make_sweep_stack: MakeSweepStack) -> SweepStack:
    """Empty buckets, an empty bus, and a sweep that looks at songs of any age."""
    return make_sweep_stack()


def dead_letter(swept: SweepStack, kind: str, about: str) -> None:
    async def send(client: Client) -> None:
        await client.jetstream().publish(f"dead.{kind}.{subject_token(about)}", b"{}")

    swept.stack.on_bus("tests", send)


def test_empty_buckets_need_no_repair(swept: SweepStack) -> None:
    assert swept.sweep() == NOTHING


def test_a_song_without_a_result_is_notified_again(swept: SweepStack) -> None:
    song = swept.put_song("dir/a b+ü 100%.mp3", two_stems="vocals", callback="c" * 32)
    assert swept.sweep() == NOTHING | {"songs": 1}
    [message] = swept.messages("SONGS")
    [call] = song_calls(message, "songs")
    assert call.song
    assert call.song.key == song.key
    assert call.song.metadata == {"two-stems": "vocals", "callback": "c" * 32}
    assert call.job == job_id(song)


def test_each_notification_of_the_sweep_has_its_own_deduplication_key(swept: SweepStack) -> None:
    swept.put_song("a.mp3")
    swept.sweep()
    swept.sweep()
    first, second = (song_calls(message, "songs")[0] for message in swept.messages("SONGS"))
    assert first.deduplication_key != second.deduplication_key


def test_a_song_that_is_on_its_way_is_not_notified_again(swept: SweepStack) -> None:
    song = swept.put_song("a.mp3")
    swept.sweep()  # its message now waits for the bridge
    swept.write_entry("jobs", job_id(song), JobRecord.of(song).write())
    assert swept.sweep() == NOTHING


def test_a_song_in_the_queue_of_its_submitter_is_not_notified_again(swept: SweepStack) -> None:
    song = swept.put_song("a.mp3")
    swept.write_entry("jobs", job_id(song), JobRecord.of(song).write())
    swept.publish("queue.x", notification(song, "r1"))
    assert swept.sweep() == NOTHING
    swept.purge("QUEUE")
    assert swept.sweep() == NOTHING | {"songs": 1}


def test_a_waiting_job_whose_message_was_lost_is_notified_again(swept: SweepStack) -> None:
    song = swept.put_song("a.mp3")
    swept.write_entry("jobs", job_id(song), JobRecord.of(song).write())
    assert swept.sweep() == NOTHING | {"songs": 1}


def test_a_separated_song_needs_no_repair(swept: SweepStack) -> None:
    swept.settle(swept.put_song("a.mp3"))
    assert swept.sweep() == NOTHING
    assert swept.messages("SONGS") == []


def test_a_failed_song_needs_no_repair(swept: SweepStack) -> None:
    song = swept.put_song("a.mp3")
    swept.set_notified(song, swept.put_failure(song))
    swept.sweep()
    assert swept.sweep() == NOTHING
    assert swept.messages("SONGS") == []


@pytest.mark.parametrize("is_failure", [False, True], ids=["manifest", "failure"])
def test_a_settled_song_costs_no_further_requests(swept: SweepStack, is_failure: bool) -> None:
    song = swept.put_song("a.mp3")
    swept.set_notified(song, swept.put_failure(song) if is_failure else swept.put_manifest(song))
    swept.sweep()
    swept.pool.requests.clear()
    swept.sweep()
    assert swept.pool.requests == ["GET /stems", "GET /songs"]


def test_an_object_that_is_no_song_is_looked_at_once(swept: SweepStack) -> None:
    for key in ("cover.jpg", "folder/"):
        swept.store.put_object("songs", key, io.BytesIO(b""), 0)
    assert swept.sweep() == NOTHING
    swept.pool.requests.clear()
    assert swept.sweep() == NOTHING
    assert swept.pool.requests == ["GET /stems", "GET /songs"]


def test_a_young_song_and_a_young_result_are_skipped(make_sweep_stack: MakeSweepStack) -> None:
    swept = make_sweep_stack(grace_seconds=30)
    swept.put_song("a.mp3")
    swept.put_manifest(swept.put_song("b.mp3"))
    assert swept.sweep() == NOTHING | {"records": 1}


def test_the_result_of_an_older_version_does_not_count(swept: SweepStack) -> None:
    old = swept.put_song("a.mp3", b"old")
    swept.put_song("a.mp3", b"new")
    swept.set_notified(old, swept.put_manifest(old))
    assert swept.sweep()["songs"] == 1


def test_the_same_song_uploaded_again_is_done(swept: SweepStack) -> None:
    """The function finds the job done and writes no newer manifest."""
    song = swept.put_song("a.mp3")
    swept.settle(song)
    swept.put_song("a.mp3")
    assert swept.sweep() == NOTHING
    swept.pool.requests.clear()
    assert swept.sweep() == NOTHING
    assert swept.pool.requests == ["GET /stems", "GET /songs"]


def test_the_same_song_uploaded_again_with_other_options_is_another_job(swept: SweepStack) -> None:
    swept.settle(swept.put_song("a.mp3"))
    other = swept.put_song("a.mp3", format="flac")
    assert swept.sweep() == NOTHING | {"songs": 1}
    assert song_calls(swept.messages("SONGS")[0], "songs")[0].job == job_id(other)


def test_a_failed_song_uploaded_again_is_tried_again(swept: SweepStack) -> None:
    song = swept.put_song("a.mp3")
    swept.set_notified(song, swept.put_failure(song))
    swept.sweep()
    swept.put_song("a.mp3")
    assert swept.sweep() == NOTHING | {"songs": 1}


def test_a_song_is_not_notified_while_it_is_a_dead_letter(swept: SweepStack) -> None:
    song = swept.put_song("a.mp3")
    dead_letter(swept, "songs", job_id(song))
    assert swept.sweep() == NOTHING
    swept.purge("DEAD")
    assert swept.sweep() == NOTHING | {"songs": 1}


def put_finished_song(swept: SweepStack, state: JobState, **members: Any) -> ObjectCreated:
    """Put a song whose job has ended in this state and left no result document."""
    song = swept.put_song("a.mp3")
    record = JobRecord.of(song)
    record.state, record.finished = state, members.pop("finished", now())
    swept.write_entry("jobs", record.id, structs.replace(record, **members).write())
    return song


@pytest.mark.parametrize("state", [JobState.DONE, JobState.FAILED, JobState.CANCELLED])
def test_a_song_whose_job_has_ended_is_not_lost(swept: SweepStack, state: JobState) -> None:
    put_finished_song(swept, state)
    assert swept.sweep()["songs"] == 0
    assert swept.sweep() == NOTHING
    assert swept.messages("SONGS") == []


def test_a_song_whose_job_was_superseded_is_lost(swept: SweepStack) -> None:
    put_finished_song(swept, JobState.SUPERSEDED)
    assert swept.sweep() == NOTHING | {"songs": 1}


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_a_song_that_was_put_again_after_its_job_ended_is_lost(
    swept: SweepStack, state: JobState
) -> None:
    put_finished_song(swept, state, finished="2020-01-01T00:00:00.000Z")
    assert swept.sweep() == NOTHING | {"songs": 1}


def test_a_song_that_was_put_again_after_a_cancel_is_lost(swept: SweepStack) -> None:
    song = swept.put_song("a.mp3")
    etag = swept.put_failure(song, "cancelled", cancelled_at="2020-01-01T00:00:00.000Z")
    swept.set_notified(song, etag)
    swept.write_entry("jobs", job_id(song), JobRecord.of(song).write())
    assert swept.sweep() == NOTHING | {"songs": 1}


def test_removed_stems_stay_away_and_the_record_says_so(swept: SweepStack) -> None:
    song = swept.put_song("a.mp3")
    swept.settle(song)
    Bucket(swept.store, "stems").remove("a.mp3/manifest.json")
    assert swept.sweep() == NOTHING | {"removed": 1}
    assert swept.sweep() == NOTHING
    record = JobRecord.read(swept.read_entry("jobs", job_id(song)))
    assert (record.state, record.stems) == (JobState.DONE, [])
    assert record.removed
    assert swept.messages("SONGS") == []


def test_stems_that_another_job_of_the_song_replaced_are_removed_ones(swept: SweepStack) -> None:
    first = swept.put_song("a.mp3")
    swept.settle(first)
    second = swept.put_song("a.mp3", format="flac")
    record = JobRecord.of(second)
    record.state = JobState.DONE
    swept.write_entry("jobs", record.id, record.write())
    swept.set_notified(second, swept.put_manifest(second))
    assert swept.sweep() == NOTHING | {"removed": 1}
    assert JobRecord.read(swept.read_entry("jobs", job_id(first))).removed
    assert not JobRecord.read(swept.read_entry("jobs", record.id)).removed


def test_a_song_older_than_the_records_of_jobs_is_not_lost(swept: SweepStack) -> None:
    """Its stems may have been removed, and the record of that has expired."""

    async def keep_records_for_a_second(client: Client) -> None:
        js = client.jetstream()
        config = (await js.stream_info("KV_jobs")).config
        await js.update_stream(config.evolve(max_age=1, duplicate_window=1))

    swept.put_song("a.mp3")
    swept.stack.on_bus("provision", keep_records_for_a_second)
    try:
        time.sleep(1.1)
        assert swept.sweep() == NOTHING
    finally:
        swept.stack.on_bus("provision", provision_bus)
    swept.put_song("b.mp3")
    assert swept.sweep() == NOTHING | {"songs": 1}


def test_a_result_that_the_sink_never_accepted_is_notified_again(swept: SweepStack) -> None:
    song = swept.put_song("dir/ü.mp3")
    etag = swept.put_manifest(song)
    assert swept.sweep() == NOTHING | {"results": 1, "records": 1}
    [message] = swept.messages("STEMS")
    [call] = result_calls(STEMS_SUBJECT, message, {})
    assert call.song
    assert (call.song.bucket, call.song.key) == ("stems", "dir/ü.mp3/manifest.json")
    assert call.song.etag == etag


def test_a_result_that_is_on_its_way_is_not_notified_again(swept: SweepStack) -> None:
    swept.put_manifest(swept.put_song("a.mp3"))
    swept.sweep()
    assert swept.sweep() == NOTHING


def test_a_result_is_notified_until_the_sink_accepts_this_version(swept: SweepStack) -> None:
    song = swept.put_song("a.mp3")
    etag = swept.put_manifest(song)
    swept.set_notified(song, "another etag")
    assert swept.sweep()["results"] == 1
    swept.purge("STEMS")
    swept.set_notified(song, etag)
    assert swept.sweep()["results"] == 0


def test_a_result_is_not_notified_while_it_is_a_dead_letter(swept: SweepStack) -> None:
    swept.put_manifest(swept.put_song("a.mp3"))
    dead_letter(swept, "results", "a.mp3/manifest.json")
    assert swept.sweep()["results"] == 0
    swept.purge("DEAD")
    assert swept.sweep()["results"] == 1


def test_an_old_result_is_not_notified(make_sweep_stack: MakeSweepStack) -> None:
    swept = make_sweep_stack(notify_hours=0)
    swept.put_manifest(swept.put_song("a.mp3"))
    assert swept.sweep()["results"] == 0


def restored_record(swept: SweepStack, song: ObjectCreated) -> JobRecord:
    """Sweep, expect one record to be restored, and return it."""
    assert swept.sweep() == NOTHING | {"records": 1}
    assert swept.sweep() == NOTHING
    return JobRecord.read(swept.read_entry("jobs", job_id(song)))


def test_the_record_of_a_done_job_is_restored(swept: SweepStack) -> None:
    song = swept.put_song("a.mp3")
    swept.set_notified(song, swept.put_manifest(song))
    record = restored_record(swept, song)
    assert (record.state, record.key, record.etag) == (JobState.DONE, "a.mp3", song.etag)
    assert record.finished


@pytest.mark.parametrize(
    ("kind", "state"), [("not-audio", JobState.FAILED), ("cancelled", JobState.CANCELLED)]
)
def test_the_record_of_a_job_without_stems_is_restored(
    swept: SweepStack, kind: str, state: JobState
) -> None:
    song = swept.put_song("a.mp3")
    swept.set_notified(song, swept.put_failure(song, kind))
    record = restored_record(swept, song)
    assert record.state == state
    assert record.problem == {"type": f"urn:micro-demucs:problem:{kind}", "title": "No"}


def test_a_restored_job_can_be_reused_for_the_same_audio(swept: SweepStack) -> None:
    song = swept.put_song("a.mp3")
    swept.set_notified(song, swept.put_manifest(song))
    swept.sweep()
    entry = swept.read_entry("results", f"{'5' * 64}.{options_hash(Options())}")
    assert json.loads(entry) == {"key": "a.mp3", "job": job_id(song)}


def test_a_lost_record_is_restored_although_the_reusable_result_exists(swept: SweepStack) -> None:
    song = swept.put_song("a.mp3")
    swept.settle(song)
    swept.purge("KV_jobs")
    assert swept.sweep() == NOTHING | {"records": 1}


@pytest.mark.parametrize(
    "body",
    [b"no JSON", b'{"song": 3}', b'{"song": null, "job": []}', b'{"stems": 5}', b"[]"],
)
def test_a_document_that_cannot_be_read_does_not_stop_the_sweep(
    swept: SweepStack, body: bytes
) -> None:
    song = swept.put_song("a.mp3")
    swept.set_notified(song, swept.put_result(song, "manifest.json", body))
    swept.put_song("b.mp3")
    repairs = swept.sweep()
    assert repairs["records"] == 0
    assert repairs["songs"] >= 1


@pytest.mark.parametrize("member", ["job", "song", "stems", "model", "finished"])
def test_an_incomplete_manifest_does_not_stop_the_sweep(swept: SweepStack, member: str) -> None:
    song = swept.put_song("a.mp3")
    body = without(manifest_of(song), member)
    swept.set_notified(song, swept.put_result(song, "manifest.json", body))
    assert swept.sweep()["records"] == 0


def test_a_record_that_cannot_be_read_does_not_stop_the_sweep(swept: SweepStack) -> None:
    song = swept.put_song("a.mp3")
    swept.set_notified(song, swept.put_manifest(song))
    swept.write_entry("jobs", job_id(song), b"no JSON")
    assert swept.sweep() == NOTHING


def test_many_records_and_a_deleted_one_are_all_read(swept: SweepStack) -> None:
    """nats-py may say that all entries were read before the first one came."""
    songs = [swept.put_song("a.mp3"), swept.put_song("b.mp3")]
    for song in songs:
        swept.set_notified(song, swept.put_manifest(song))

    async def fill(client: Client) -> None:
        jobs = await client.jetstream().key_value("jobs")
        for number in range(300):
            record = JobRecord(id=f"{number:032}", bucket="songs", key="x", etag="e")
            await jobs.put(record.id, record.write())
        for song in songs:
            await jobs.put(job_id(song), JobRecord.of(song).write())
        await jobs.put("last", b"{}")
        await jobs.delete("last")

    swept.stack.on_bus("tests", fill)
    for _ in range(5):
        assert swept.sweep() == NOTHING


def test_the_command_sweeps_once_and_logs_the_repairs(swept: SweepStack) -> None:
    swept.put_song("a.mp3")
    completed = run_program(swept.stack, "sweep", ["sweep"], SWEEP_GRACE_SECONDS="0")
    assert (completed.returncode, completed.stderr) == (0, "")
    lines = [json.loads(line) for line in completed.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["lost song found", "swept"]
    assert {name: lines[1][name] for name in NOTHING} == NOTHING | {"songs": 1}


def test_a_store_that_is_away_ends_a_single_sweep_with_one_line(stack: Stack) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    completed = run_program(stack, "sweep", ["sweep"], STORE_URL=url)
    assert failure_line(completed) == "the sweep failed: The store cannot be reached"


def test_a_repeated_sweep_goes_on_after_errors_until_sigterm(stack: Stack) -> None:
    command = ["sweep", "--every", "0.1"]
    with start_program(stack, "sweep", command, STORE_URL="http://127.0.0.1:1") as process:
        assert process.stdout
        output = process.stdout
        for _ in range(2):
            wait_until(lambda: "sweep failed" in output.readline())
        process.terminate()
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")


def is_swept_after(time: str, line: str) -> bool:
    entry = json.loads(line)
    return entry["event"] == "swept" and entry["time"] > time


def test_a_repeated_sweep_goes_on_after_a_restart_of_the_bus(swept: SweepStack) -> None:
    swept.put_song("a.mp3")
    command = ["sweep", "--every", "0.2"]
    with start_program(swept.stack, "sweep", command, SWEEP_GRACE_SECONDS="0") as process:
        assert process.stdout
        output = process.stdout
        assert "lost song found" in output.readline()
        swept.stack.kill("nats")
        swept.stack.start("nats")
        restarted = now()
        wait_until(lambda: is_swept_after(restarted, output.readline()))
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0


def manifest_members(song: ObjectCreated, **changes: Any) -> bytes:
    """Return the manifest of the song's job with these changes."""
    members = json.loads(manifest_of(song).write())
    return json.dumps(members | changes).encode()


BAD_MANIFESTS: dict[str, Callable[[ObjectCreated], bytes]] = {
    "deep": lambda song: b"[" * 100_000,
    "deep inside": lambda song: b'{"options":' + b"[" * 900 + b"]" * 900 + b"}",
    "not UTF-8": lambda song: b"\xff\xfe",
    "empty": lambda song: b"",
    "huge": lambda song: b" " * 3_000_000,
    "a job that is no key": lambda song: manifest_members(song, job="a b"),
    "a job that is a subject": lambda song: manifest_members(song, job=">"),
    "a stem's key that is a number": lambda song: manifest_members(song, stems=[{"key": 5}]),
    "the manifest of another song": lambda song: manifest_members(song).replace(b"a.mp3", b"x.mp3"),
    "no time": lambda song: manifest_members(song, finished="x"),
}


@pytest.mark.parametrize("bad", BAD_MANIFESTS.values(), ids=BAD_MANIFESTS.keys())
def test_a_manifest_by_hand_does_not_keep_the_next_song_from_its_repair(
    swept: SweepStack, bad: Callable[[ObjectCreated], bytes]
) -> None:
    song = swept.put_song("a.mp3")
    swept.put_result(song, "manifest.json", bad(song))
    next_song = swept.put_song("b.mp3")
    swept.put_manifest(next_song)
    lost = swept.put_song("c.mp3")
    repairs = swept.sweep()
    assert swept.read_entry("jobs", job_id(next_song))
    assert lost.key in [song_calls(m, "songs")[0].event["subject"] for m in swept.messages("SONGS")]
    assert (repairs["songs"], repairs["records"]) == (2, 1)


@pytest.mark.parametrize("value", [b"\xff", b"[" * 100_000, b"{}", b'{"id": "a b"}'])
def test_a_job_record_that_nobody_wrote_does_not_stop_the_sweep(
    swept: SweepStack, value: bytes
) -> None:
    swept.write_entry("jobs", "0" * 32, value)
    swept.put_song("a.mp3")
    assert swept.sweep() == NOTHING | {"songs": 1}


def test_a_done_record_whose_id_is_no_key_does_not_stop_the_sweep(swept: SweepStack) -> None:
    song = swept.put_song("a.mp3")
    record = JobRecord.of(song)
    record.state = JobState.DONE
    swept.write_entry("jobs", record.id, structs.replace(record, id="a b").write())
    swept.write_entry("jobs", "0" * 32, structs.replace(record, id="0" * 32).write())
    swept.sweep()
    assert JobRecord.read(swept.read_entry("jobs", "0" * 32)).removed


def test_a_result_that_an_overtaken_job_of_the_same_bytes_wrote_is_replaced(
    swept: SweepStack,
) -> None:
    earlier = swept.put_song("a.mp3")
    created = "2026-01-01T00:00:00.000Z"
    present = swept.put_song("a.mp3", format="flac")
    assert present.etag == earlier.etag
    manifest = structs.replace(manifest_of(earlier), created=created)
    swept.put_result(earlier, "manifest.json", manifest.write())
    assert swept.sweep()["songs"] == 1
    [message] = swept.messages("SONGS")
    assert song_calls(message, "songs")[0].job == job_id(present) != job_id(earlier)
