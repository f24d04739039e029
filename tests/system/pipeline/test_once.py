"""The same notification, any number of times, is one job; another version is another job."""

import asyncio
from functools import partial

from minio.commonconfig import Tags
from nats.aio.client import Client

from microdemucs.bus import SONGS_SUBJECT
from microdemucs.events import ObjectCreated, notification
from microdemucs.jobs import job_id
from testing.songs import mp3
from testing.stack import Stack
from testing.waiting import wait_until


def runs(stack: Stack, job: str) -> int:
    """Return how often a job was started."""
    return len(stack.logged("job started", job=job))


def notify_again(stack: Stack, song: ObjectCreated, request_ids: list[str]) -> None:
    """Publish one more notification about the song for each request id."""

    async def publish(client: Client) -> None:
        js = client.jetstream()
        messages = [notification(song, request_id) for request_id in request_ids]
        await asyncio.gather(*(js.publish(SONGS_SUBJECT, message) for message in messages))

    stack.on_bus("tests", publish)


def test_the_same_notification_ten_times_is_one_job(stack: Stack) -> None:
    song = stack.put_song("ten times.mp3", mp3(3.1))
    notify_again(stack, song, [f"other-{n}" for n in range(10)])
    manifest = stack.wait_for_manifest("ten times.mp3")
    wait_until(stack.is_idle, what="no message is pending")
    assert manifest["job"] == job_id(song)
    assert runs(stack, manifest["job"]) == 1
    assert stack.manifest("ten times.mp3") == manifest


def test_two_notifications_of_the_store_are_one_call(stack: Stack) -> None:
    stack.put_song("notified twice.mp3", mp3(3.2))
    stack.wait_for_manifest("notified twice.mp3")

    async def notifications(client: Client) -> int:
        info = await client.jetstream().stream_info("SONGS", subjects_filter="minio.songs")
        return int(info.state.messages)

    before = stack.on_bus("tests", notifications)
    delivered = partial(stack.logged, "delivered", route="songs", subject="notified twice.mp3")
    wait_until(delivered)
    wait_until(
        lambda: stack.on_bus("tests", notifications) > before or stack.has_notified_all("songs"), 10
    )
    wait_until(stack.is_idle, what="no message is pending")
    assert len(delivered()) == 1


def test_the_same_notification_after_the_job_is_done_changes_nothing(stack: Stack) -> None:
    song = stack.put_song("later.mp3", mp3(3.3))
    manifest = stack.wait_for_manifest("later.mp3")
    notify_again(stack, song, ["much-later"])
    wait_until(lambda: stack.logged("delivered", subject="later.mp3", id="much-later.sweep"))
    assert stack.manifest("later.mp3") == manifest
    assert runs(stack, manifest["job"]) == 1


def test_the_same_audio_at_another_key_reuses_the_stems(stack: Stack) -> None:
    stack.put_song("first/copy.mp3", mp3(3.4))
    first = stack.wait_for_manifest("first/copy.mp3")
    stack.put_song("second/copy.mp3", mp3(3.4))
    second = stack.wait_for_manifest("second/copy.mp3")
    assert second["reused_from"] == "first/copy.mp3"
    assert second["job"] != first["job"]
    assert "separating" not in second["timings"]
    for original, copy in zip(first["stems"], second["stems"], strict=True):
        assert stack.store.get_object("stems", original["key"]).read() == (
            stack.store.get_object("stems", copy["key"]).read()
        )


def test_a_song_overwritten_during_its_separation_gets_the_stems_of_the_new_version(
    stack: Stack,
) -> None:
    new_song = mp3(3.5)
    old = stack.put_song("overwritten.mp3", mp3(20.0), shifts="10")
    stack.wait_for_job("overwritten.mp3", "running")
    new = stack.put_song("overwritten.mp3", new_song)
    manifest = stack.wait_for_manifest("overwritten.mp3")
    wait_until(stack.is_idle, what="no message is pending")
    assert stack.manifest("overwritten.mp3") == manifest
    assert manifest["song"]["etag"] == new.etag
    assert stack.api("GET", f"/apiv1/jobs/{job_id(old)}")["state"] == "superseded"


def test_other_options_replace_all_stems(stack: Stack) -> None:
    stack.put_song("options.mp3", mp3(3.6))
    stack.wait_for_manifest("options.mp3")
    stack.put_song("options.mp3", mp3(3.6), format="flac", stems="drums,bass")
    wait_until(
        lambda: (stack.manifest("options.mp3") or {}).get("options"), what="the new manifest"
    )
    names = {o.object_name for o in stack.store.list_objects("stems", "options.mp3/")}
    expected = {"drums.flac", "bass.flac", "peaks.bin", "manifest.json"}
    assert names == {f"options.mp3/{name}" for name in expected}


def test_tagging_a_song_does_nothing(stack: Stack) -> None:
    stack.put_song("tagged.mp3", mp3(3.7))
    manifest = stack.wait_for_manifest("tagged.mp3")
    tags = Tags.new_object_tags()
    tags["mood"] = "blue"
    stack.store.set_object_tags("songs", "tagged.mp3", tags)
    stack.put_song("after the tag.mp3", mp3(3.8))  # its notification comes after the tag's
    stack.wait_for_manifest("after the tag.mp3")
    wait_until(stack.is_idle, what="no message is pending")
    assert stack.manifest("tagged.mp3") == manifest
    assert len(stack.logged("delivered", route="songs", subject="tagged.mp3")) == 1


def test_a_waiting_song_that_is_cancelled_and_sent_again_is_separated(stack: Stack) -> None:
    long = job_id(stack.put_song("long.mp3", mp3(50.0), shifts="10"))
    stack.wait_for_job("long.mp3", "running")
    song = mp3(3.9)
    job = job_id(stack.put_song("behind.mp3", song))
    stack.wait_for_job("behind.mp3", "waiting")
    assert stack.api("DELETE", f"/apiv1/jobs/{job}")["state"] == "cancelled"
    assert stack.api("GET", f"/apiv1/jobs/{job}")["state"] == "cancelled"
    assert job not in stack.api("GET", "/apiv1/queue")["queue"]
    stack.put_song("behind.mp3", song)
    stack.wait_for_job("behind.mp3", "waiting")
    assert stack.api("DELETE", f"/apiv1/jobs/{long}")["state"] == "running"
    assert stack.wait_for_manifest("behind.mp3")["job"] == job
    stack.wait_for_job("behind.mp3", "done")
    assert not stack.failure("behind.mp3")


def test_a_running_song_that_is_cancelled_and_sent_again_is_separated(stack: Stack) -> None:
    song = mp3(40.0, 3.0)
    job = job_id(stack.put_song("running.mp3", song, shifts="3"))
    stack.wait_for_job("running.mp3", "running")
    stack.api("DELETE", f"/apiv1/jobs/{job}")
    stack.put_song("running.mp3", song, shifts="3")
    assert stack.wait_for_manifest("running.mp3")["job"] == job
    stack.wait_for_job("running.mp3", "done")
    assert not stack.failure("running.mp3")
    assert runs(stack, job) == 2


def test_a_waiting_song_that_is_cancelled_is_never_begun(stack: Stack) -> None:
    long = job_id(stack.put_song("long too.mp3", mp3(38.0, 4.0), shifts="10"))
    stack.wait_for_job("long too.mp3", "running")
    job = job_id(stack.put_song("unwanted.mp3", mp3(3.95)))
    stack.wait_for_job("unwanted.mp3", "waiting")
    stack.api("DELETE", f"/apiv1/jobs/{job}")
    assert stack.api("DELETE", f"/apiv1/jobs/{long}")["state"] == "running"
    failure = stack.wait_for_failure("unwanted.mp3")
    record = stack.api("GET", f"/apiv1/jobs/{job}")
    assert failure["cancelled_at"] == record["cancel_requested"]
    assert runs(stack, job) == 0


def test_a_song_that_is_removed_while_it_is_separated_is_given_up(stack: Stack) -> None:
    stack.put_song("removed.mp3", mp3(40.1, 2.5), shifts="10")
    stack.wait_for_job("removed.mp3", "running")
    stack.store.remove_object("songs", "removed.mp3")
    job = stack.wait_for_job("removed.mp3", "superseded")
    assert job["progress"] < 0.9  # not only at its end
    assert not stack.manifest("removed.mp3")


def test_a_cancelled_job_ends_with_a_failure(stack: Stack) -> None:
    stack.put_song("cancelled.mp3", mp3(30.0, 2.0), shifts="10")
    job = stack.wait_for_job("cancelled.mp3", "running")
    stack.api("DELETE", f"/apiv1/jobs/{job['id']}")
    failure = stack.wait_for_failure("cancelled.mp3")
    assert failure["type"] == "urn:micro-demucs:problem:cancelled"
    assert not stack.manifest("cancelled.mp3")
    stack.wait_for_job("cancelled.mp3", "cancelled")
