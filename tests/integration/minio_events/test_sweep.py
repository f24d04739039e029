"""What a lost notification leaves in the buckets, found again: real MinIO, real NATS."""

import io
import json
import os
import subprocess
import sys

import pytest

from local.ports import free_port
from microdemucs.bus import STEMS_SUBJECT
from microdemucs.jobs import JobRecord, job_id, options_hash
from microdemucs.options import Options
from microdemucs.paths import ROOT
from minio_events.dead_letters import token
from minio_events.routing import result_calls, song_calls
from testing.waiting import wait_until
from tests.integration.minio_events.sweeping import NOTHING, Sweeping


@pytest.fixture
def swept(whole, monkeypatch):
    """Nothing is in the buckets and on the bus; the sweep gives no grace."""
    monkeypatch.setenv("SWEEP_GRACE_SECONDS", "0")
    one = Sweeping(whole)
    one.clear()
    return one


def test_nothing_is_found_where_nothing_is(swept):
    assert swept.look() == NOTHING


def test_a_song_without_a_mark_is_notified_in_the_stores_stead(swept):
    song = swept.put("dir/a b+ü 100%.mp3", two_stems="vocals", callback="c" * 32)
    assert swept.look() == NOTHING | {"songs": 1}
    [message] = swept.sent("SONGS")
    [call] = song_calls(message, "songs")
    assert call.song.key == song.key
    assert call.song.metadata == {"two-stems": "vocals", "callback": "c" * 32}
    assert call.job == job_id(song)


def test_what_the_sweep_sends_again_is_no_copy_of_what_it_sent(swept):
    swept.put("a.mp3")
    swept.look()
    swept.look()
    first, second = (song_calls(message, "songs")[0] for message in swept.sent("SONGS"))
    assert first.same != second.same


def test_a_song_that_is_on_its_way_is_left_alone(swept):
    song = swept.put("a.mp3")
    swept.look()  # and now a message waits for the bridge
    swept.kv("jobs", job_id(song), JobRecord.of(song).write())
    assert swept.look() == NOTHING
    swept.forget("SONGS")  # nothing is on its way any more, and the job still waits
    assert swept.look() == NOTHING | {"songs": 1}


@pytest.mark.parametrize("name", ["manifest.json", "failure.json"])
def test_a_healthy_song_is_not_found_and_not_read_again(swept, name):
    song = swept.put("a.mp3")
    swept.settled(song, name=name)
    swept.pool.asked.clear()
    assert swept.look() == NOTHING
    assert swept.pool.asked == ["GET /stems", "GET /songs"]
    assert swept.sent("SONGS") == []


def test_what_is_no_song_is_left_alone_and_not_read_again(swept):
    for key in ("cover.jpg", "folder/"):
        swept.store.put_object("songs", key, io.BytesIO(b""), 0)
    assert swept.look() == NOTHING
    swept.pool.asked.clear()
    assert swept.look() == NOTHING
    assert swept.pool.asked == ["GET /stems", "GET /songs"]


def test_a_new_song_is_given_time(swept, monkeypatch):
    monkeypatch.setenv("SWEEP_GRACE_SECONDS", "30")
    swept.put("a.mp3")
    swept.mark(swept.put("b.mp3"))
    assert swept.look() == NOTHING | {"records": 1}


def test_a_mark_of_an_older_version_is_none(swept):
    old = swept.put("a.mp3", b"old")
    swept.put("a.mp3", b"new")
    swept.told(old, swept.mark(old))
    assert swept.look()["songs"] == 1


def test_the_same_song_put_again_is_done(swept):
    """The function finds it done and writes no newer manifest: it would be sent for ever."""
    song = swept.put("a.mp3")
    swept.settled(song)
    swept.put("a.mp3")
    assert swept.look() == NOTHING
    swept.pool.asked.clear()
    assert swept.look() == NOTHING
    assert swept.pool.asked == ["GET /stems", "GET /songs"]


def test_the_same_song_put_again_with_other_options_is_another_job(swept):
    swept.settled(swept.put("a.mp3"))
    other = swept.put("a.mp3", format="flac")
    assert swept.look() == NOTHING | {"songs": 1}
    assert song_calls(swept.sent("SONGS")[0], "songs")[0].job == job_id(other)


def test_a_song_put_again_after_it_failed_is_tried_again(swept):
    swept.settled(swept.put("a.mp3"), name="failure.json")
    swept.put("a.mp3")
    assert swept.look() == NOTHING | {"songs": 1}


def test_a_song_that_is_a_dead_letter_is_left_alone(swept):
    song = swept.put("a.mp3")
    dead_letter(swept, "songs", job_id(song))
    assert swept.look() == NOTHING
    swept.forget("DEAD")
    assert swept.look() == NOTHING | {"songs": 1}


def dead_letter(swept, kind, about):
    async def send(client):
        await client.jetstream().publish(f"dead.{kind}.{token(about)}", b"{}")

    swept.machine.on_bus("events", send)


def test_a_mark_that_the_sink_was_not_told_of_is_notified_in_the_stores_stead(swept):
    song = swept.put("dir/ü.mp3")
    etag = swept.mark(song)
    assert swept.look() == NOTHING | {"results": 1, "records": 1}
    [message] = swept.sent("STEMS")
    [call] = result_calls(STEMS_SUBJECT, message, {})
    assert (call.song.bucket, call.song.key) == ("stems", "dir/ü.mp3/manifest.json")
    assert call.song.etag == etag
    assert swept.look() == NOTHING  # it is on its way
    swept.forget("STEMS")
    swept.told(song, "another etag")
    assert swept.look() == NOTHING | {"results": 1}
    swept.forget("STEMS")
    swept.told(song, etag)
    assert swept.look() == NOTHING


def test_a_result_that_is_a_dead_letter_is_left_alone(swept):
    song = swept.put("a.mp3")
    swept.mark(song)
    dead_letter(swept, "results", "a.mp3/manifest.json")
    assert swept.look()["results"] == 0
    swept.forget("DEAD")
    assert swept.look()["results"] == 1


def test_an_old_result_is_not_told_any_more(swept, monkeypatch):
    monkeypatch.setenv("SWEEP_TELL_HOURS", "0")
    swept.mark(swept.put("a.mp3"))
    assert swept.look()["results"] == 0


@pytest.mark.parametrize(
    ("name", "more", "state"),
    [
        ("manifest.json", {}, "done"),
        ("failure.json", {"type": "urn:micro-demucs:problem:not-audio", "title": "No"}, "failed"),
        ("failure.json", {"type": "urn:micro-demucs:problem:cancelled"}, "cancelled"),
    ],
)
def test_a_record_that_is_gone_is_written_again(swept, name, more, state):
    song = swept.put("a.mp3")
    swept.told(song, swept.mark(song, name, more))
    assert swept.look() == NOTHING | {"records": 1}
    record = JobRecord.read(swept.kv("jobs", job_id(song)).value)
    assert (record.state, record.key, record.etag) == (state, "a.mp3", song.etag)
    assert (record.problem or {}).get("type") == more.get("type")
    assert record.finished
    if state == "done":
        result = json.loads(swept.kv("results", f"{'5' * 64}.{options_hash(Options())}").value)
        assert result == {"key": "a.mp3", "job": job_id(song)}
    assert swept.look() == NOTHING


def test_a_record_is_written_again_where_its_result_is_known(swept):
    song = swept.put("a.mp3")
    swept.settled(song)
    swept.forget("KV_jobs")
    assert swept.look() == NOTHING | {"records": 1}


@pytest.mark.parametrize("document", [{"song": 3}, {"song": None, "job": []}, {"stems": 5}])
def test_a_document_that_is_none_of_ours_stops_nothing(swept, document):
    song = swept.put("a.mp3")
    swept.told(song, swept.mark(song, more=document))
    swept.put("b.mp3")
    found = swept.look()
    assert found["records"] == 0
    assert found["songs"] >= 1


def test_all_records_are_known_however_many_and_also_after_a_deleted_one(swept):
    """nats-py may say that all has been seen before anything came."""
    songs = [swept.put("a.mp3"), swept.put("b.mp3")]
    for song in songs:
        swept.told(song, swept.mark(song))

    async def fill(client):
        jobs = await client.jetstream().key_value("jobs")
        for number in range(300):
            await jobs.put(f"{number:032}", JobRecord(f"{number:032}", "songs", "x", "e").write())
        for song in songs:
            await jobs.put(job_id(song), JobRecord.of(song).write())
        await jobs.put("last", b"{}")
        await jobs.delete("last")

    swept.machine.on_bus("events", fill)
    for _ in range(5):
        assert swept.look() == NOTHING


def sweep(machine, *words, **settings):
    return subprocess.Popen(
        [sys.executable, "-m", "minio_events", "sweep", *words],
        cwd=ROOT,
        env=os.environ | machine.environment.for_component("events") | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_looks_once_and_tells_what_it_found(swept):
    swept.put("a.mp3")
    with sweep(swept.machine) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["event"] for line in lines] == ["lost song found", "swept"]
    assert {name: lines[1][name] for name in NOTHING} == NOTHING | {"songs": 1}


def test_a_store_that_is_away_is_one_line(swept):
    with sweep(swept.machine, STORE_URL=f"http://127.0.0.1:{free_port()}") as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err == "the sweep could not look: The store cannot be reached\n"


def test_every_so_often_goes_on_until_told_to_stop(swept):
    with sweep(swept.machine, "--every", "0.1", STORE_URL="http://127.0.0.1:1") as process:
        for _ in range(2):
            wait_until(lambda: "sweep failed" in process.stdout.readline())
        process.terminate()
        _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "")


def test_it_goes_on_where_it_stopped_looking(swept):
    """A bus that restarts between two looks changes nothing of what is found."""
    swept.put("a.mp3")
    with sweep(swept.machine, "--every", "0.2") as process:
        assert "lost song found" in process.stdout.readline()
        swept.machine.kill("nats")
        swept.machine.start("nats")
        wait_until(lambda: "swept" in process.stdout.readline(), 20)
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0
