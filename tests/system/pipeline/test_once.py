"""The same news, any number of times, is one job; other news of the same key is another one."""

import asyncio
import io

from minio.commonconfig import Tags

from microdemucs.bus import SONGS_SUBJECT
from microdemucs.events import ObjectCreated, notification
from microdemucs.jobs import job_id
from testing.machine import wait_until
from testing.songs import mp3


def put(whole, key, body, **metadata):
    return whole.store.put_object(
        "songs", key, io.BytesIO(body), len(body), content_type="audio/mpeg", metadata=metadata
    )


def separated(whole, job):
    return whole.said("started", job=job)


def tell_again(whole, song, ids):
    async def publish(client):
        js = client.jetstream()
        await asyncio.gather(
            *(js.publish(SONGS_SUBJECT, notification(song, request)) for request in ids)
        )

    whole.on_bus("events", publish)


def idle(whole):
    async def look(client):
        info = await client.jetstream().consumer_info("SONGS", "separate")
        return not info.num_pending and not info.num_ack_pending

    wait_until(lambda: whole.on_bus("events", look), what="nothing on its way")


def test_ten_times_the_same_news_at_once_is_one_job(whole):
    result = put(whole, "ten times.mp3", mp3(3.1))
    song = ObjectCreated("songs", "ten times.mp3", 1, result.etag, time="2026-01-01T00:00:00Z")
    tell_again(whole, song, [f"other-{n}" for n in range(10)])
    manifest = whole.done("ten times.mp3")
    idle(whole)
    assert manifest["job"] == job_id(song)
    assert len(separated(whole, manifest["job"])) == 1
    assert whole.manifest("ten times.mp3") == manifest


def test_the_store_tells_twice_and_the_function_is_called_once(whole):
    put(whole, "told twice.mp3", mp3(3.2))
    whole.done("told twice.mp3")

    async def copies(client):
        info = await client.jetstream().stream_info("SONGS", subjects_filter="minio.songs")
        return info.state.messages

    told = whole.on_bus("events", copies)
    wait_until(lambda: len(whole.said("delivered", route="songs", subject="told twice.mp3")) >= 1)
    wait_until(lambda: whole.on_bus("events", copies) > told or _replayed(whole), 10)
    idle(whole)
    assert len(whole.said("delivered", route="songs", subject="told twice.mp3")) == 1


def _replayed(whole):
    """The sure target's copy is there: nothing is left in the store's queue."""
    queue = whole.here.state / "queue" / "songs"
    return not any(queue.rglob("*.event*"))


def test_the_same_news_later_is_nothing_new(whole):
    result = put(whole, "later.mp3", mp3(3.3))
    manifest = whole.done("later.mp3")
    song = ObjectCreated("songs", "later.mp3", 1, result.etag, time="2026-01-01T00:00:00Z")
    tell_again(whole, song, ["much-later"])
    wait_until(lambda: whole.said("delivered", subject="later.mp3", id="much-later.sweep"))
    assert whole.manifest("later.mp3") == manifest
    assert len(separated(whole, manifest["job"])) == 1


def test_the_same_audio_under_another_key_reuses_the_stems(whole):
    put(whole, "first copy.mp3", mp3(3.4))
    first = whole.done("first copy.mp3")
    put(whole, "second copy.mp3", mp3(3.4))
    second = whole.done("second copy.mp3")
    assert second["reused_from"] == "first copy.mp3"
    assert second["job"] != first["job"]
    assert "separating" not in second["timings"]
    for one, other in zip(first["stems"], second["stems"], strict=True):
        assert whole.store.get_object("stems", one["key"]).read() == (
            whole.store.get_object("stems", other["key"]).read()
        )


def test_overwriting_a_song_during_work_gives_the_stems_of_the_new_one(whole):
    old = put(whole, "overwritten.mp3", mp3(20.0))
    wait_until(lambda: (j := whole.job("overwritten.mp3")) and j["state"] == "running")
    new = put(whole, "overwritten.mp3", mp3(3.5))
    manifest = whole.done("overwritten.mp3")
    idle(whole)
    assert whole.manifest("overwritten.mp3") == manifest
    assert manifest["song"]["etag"] == new.etag
    first = job_id(ObjectCreated("songs", "overwritten.mp3", 1, old.etag))
    assert wait_until(lambda: whole.api("GET", f"/apiv1/jobs/{first}"))["state"] == "superseded"


def test_the_same_song_with_other_options_is_separated_anew_and_leaves_no_old_stem(whole):
    put(whole, "options.mp3", mp3(3.6))
    whole.done("options.mp3")
    put(whole, "options.mp3", mp3(3.6), format="flac", stems="drums,bass")
    wait_until(
        lambda: (whole.manifest("options.mp3") or {}).get("options"), what="the new manifest"
    )
    there = {o.object_name for o in whole.store.list_objects("stems", "options.mp3/")}
    expected = {"drums.flac", "bass.flac", "manifest.json"}
    assert there == {f"options.mp3/{name}" for name in expected}


def test_tagging_a_song_does_nothing(whole):
    put(whole, "tagged.mp3", mp3(3.7))
    manifest = whole.done("tagged.mp3")
    tags = Tags.new_object_tags()
    tags["mood"] = "blue"
    whole.store.set_object_tags("songs", "tagged.mp3", tags)
    put(whole, "after the tag.mp3", mp3(3.8))  # its news comes behind the tag's
    whole.done("after the tag.mp3")
    idle(whole)
    assert whole.manifest("tagged.mp3") == manifest
    assert len(whole.said("delivered", route="songs", subject="tagged.mp3")) == 1


def test_a_cancelled_job_ends_between_segments_and_says_so(whole):
    put(whole, "cancelled.mp3", mp3(30.0, 2.0))
    job = wait_until(lambda: (j := whole.job("cancelled.mp3")) and j["state"] == "running" and j)
    whole.api("DELETE", f"/apiv1/jobs/{job['id']}")
    failure = whole.failed("cancelled.mp3")
    assert failure["type"] == "urn:micro-demucs:problem:cancelled"
    assert not whole.manifest("cancelled.mp3")
    wait_until(lambda: whole.job("cancelled.mp3")["state"] == "cancelled")
