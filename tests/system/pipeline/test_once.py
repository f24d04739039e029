"""The same news, any number of times, is one job; other news of the same key is another one."""

import asyncio

from minio.commonconfig import Tags

from microdemucs.bus import SONGS_SUBJECT
from microdemucs.events import ObjectCreated, notification
from microdemucs.jobs import job_id
from testing.songs import mp3
from testing.waiting import wait_until


def separated(stack, job):
    return stack.logged("started", job=job)


def tell_again(stack, song, ids):
    async def publish(client):
        js = client.jetstream()
        await asyncio.gather(
            *(js.publish(SONGS_SUBJECT, notification(song, request)) for request in ids)
        )

    stack.on_bus("events", publish)


def test_ten_times_the_same_news_at_once_is_one_job(stack):
    result = stack.put_song("ten times.mp3", mp3(3.1))
    song = ObjectCreated("songs", "ten times.mp3", 1, result.etag, time="2026-01-01T00:00:00Z")
    tell_again(stack, song, [f"other-{n}" for n in range(10)])
    manifest = stack.wait_for_manifest("ten times.mp3")
    wait_until(stack.is_idle, what="no message is pending")
    assert manifest["job"] == job_id(song)
    assert len(separated(stack, manifest["job"])) == 1
    assert stack.manifest("ten times.mp3") == manifest


def test_the_store_tells_twice_and_the_function_is_called_once(stack):
    stack.put_song("told twice.mp3", mp3(3.2))
    stack.wait_for_manifest("told twice.mp3")

    async def copies(client):
        info = await client.jetstream().stream_info("SONGS", subjects_filter="minio.songs")
        return info.state.messages

    told = stack.on_bus("events", copies)
    wait_until(lambda: len(stack.logged("delivered", route="songs", subject="told twice.mp3")) >= 1)
    wait_until(lambda: stack.on_bus("events", copies) > told or _replayed(stack), 10)
    wait_until(stack.is_idle, what="no message is pending")
    assert len(stack.logged("delivered", route="songs", subject="told twice.mp3")) == 1


def _replayed(stack):
    """The sure target's copy is there: nothing is left in the store's queue."""
    queue = stack.environment.folder / "queue" / "songs"
    return not any(queue.rglob("*.event*"))


def test_the_same_news_later_is_nothing_new(stack):
    result = stack.put_song("later.mp3", mp3(3.3))
    manifest = stack.wait_for_manifest("later.mp3")
    song = ObjectCreated("songs", "later.mp3", 1, result.etag, time="2026-01-01T00:00:00Z")
    tell_again(stack, song, ["much-later"])
    wait_until(lambda: stack.logged("delivered", subject="later.mp3", id="much-later.sweep"))
    assert stack.manifest("later.mp3") == manifest
    assert len(separated(stack, manifest["job"])) == 1


def test_the_same_audio_under_another_key_reuses_the_stems(stack):
    stack.put_song("first copy.mp3", mp3(3.4))
    first = stack.wait_for_manifest("first copy.mp3")
    stack.put_song("second copy.mp3", mp3(3.4))
    second = stack.wait_for_manifest("second copy.mp3")
    assert second["reused_from"] == "first copy.mp3"
    assert second["job"] != first["job"]
    assert "separating" not in second["timings"]
    for one, other in zip(first["stems"], second["stems"], strict=True):
        assert stack.store.get_object("stems", one["key"]).read() == (
            stack.store.get_object("stems", other["key"]).read()
        )


def test_overwriting_a_song_during_work_gives_the_stems_of_the_new_one(stack):
    old = stack.put_song("overwritten.mp3", mp3(20.0))
    wait_until(lambda: (j := stack.job("overwritten.mp3")) and j["state"] == "running")
    new = stack.put_song("overwritten.mp3", mp3(3.5))
    manifest = stack.wait_for_manifest("overwritten.mp3")
    wait_until(stack.is_idle, what="no message is pending")
    assert stack.manifest("overwritten.mp3") == manifest
    assert manifest["song"]["etag"] == new.etag
    first = job_id(ObjectCreated("songs", "overwritten.mp3", 1, old.etag))
    assert wait_until(lambda: stack.api("GET", f"/apiv1/jobs/{first}"))["state"] == "superseded"


def test_the_same_song_with_other_options_is_separated_anew_and_leaves_no_old_stem(stack):
    stack.put_song("options.mp3", mp3(3.6))
    stack.wait_for_manifest("options.mp3")
    stack.put_song("options.mp3", mp3(3.6), format="flac", stems="drums,bass")
    wait_until(
        lambda: (stack.manifest("options.mp3") or {}).get("options"), what="the new manifest"
    )
    there = {o.object_name for o in stack.store.list_objects("stems", "options.mp3/")}
    expected = {"drums.flac", "bass.flac", "manifest.json"}
    assert there == {f"options.mp3/{name}" for name in expected}


def test_tagging_a_song_does_nothing(stack):
    stack.put_song("tagged.mp3", mp3(3.7))
    manifest = stack.wait_for_manifest("tagged.mp3")
    tags = Tags.new_object_tags()
    tags["mood"] = "blue"
    stack.store.set_object_tags("songs", "tagged.mp3", tags)
    stack.put_song("after the tag.mp3", mp3(3.8))  # its news comes behind the tag's
    stack.wait_for_manifest("after the tag.mp3")
    wait_until(stack.is_idle, what="no message is pending")
    assert stack.manifest("tagged.mp3") == manifest
    assert len(stack.logged("delivered", route="songs", subject="tagged.mp3")) == 1


def test_a_cancelled_job_ends_between_segments_and_says_so(stack):
    stack.put_song("cancelled.mp3", mp3(30.0, 2.0))
    job = wait_until(lambda: (j := stack.job("cancelled.mp3")) and j["state"] == "running" and j)
    stack.api("DELETE", f"/apiv1/jobs/{job['id']}")
    failure = stack.wait_for_failure("cancelled.mp3")
    assert failure["type"] == "urn:micro-demucs:problem:cancelled"
    assert not stack.manifest("cancelled.mp3")
    wait_until(lambda: stack.job("cancelled.mp3")["state"] == "cancelled")
