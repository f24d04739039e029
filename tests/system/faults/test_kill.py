"""Someone pulls the plug anywhere, and every song still comes out once."""

import io

from microdemucs.events import ObjectCreated
from microdemucs.jobs import job_id
from testing.machine import wait_until
from testing.songs import mp3


def put(whole, key, body, **options):
    result = whole.store.put_object(
        "songs", key, io.BytesIO(body), len(body), metadata=dict(options)
    )
    assert result.etag
    return result


def is_idle(whole):
    async def look(client):
        info = await client.jetstream().consumer_info("SONGS", "separate")
        return not info.num_pending and not info.num_ack_pending

    return whole.on_bus("events", look)


def separations(whole, job):
    """How often the job came to its end; being found done before is not one."""
    return len(whole.said("done", job=job)) - len(
        [line for line in whole.said("done before") if line["job"] == job]
    )


def finished_once(whole, keys):
    """Every song has its manifest, of a job of its own, and no job finished twice."""
    jobs = [whole.done(key, 240)["job"] for key in keys]
    wait_until(lambda: is_idle(whole), 120, "nothing is on its way any more")
    assert len(set(jobs)) == len(keys)
    for key, job in zip(keys, jobs, strict=True):
        assert whole.manifest(key)["job"] == job
        assert separations(whole, job) == 1, key
    there = whole.store.list_objects("stems", recursive=True)
    manifests = [o.object_name for o in there if o.object_name.endswith("/manifest.json")]
    assert sorted(manifests) == sorted(f"{key}/manifest.json" for key in keys)


def test_separate_killed_in_the_middle_of_a_song_finishes_it_after_its_restart(whole):
    put(whole, "long.mp3", mp3(20.0))
    wait_until(
        lambda: (j := whole.job("long.mp3")) and j["state"] == "running" and j["progress"] > 0.1,
        what="in the middle of the song",
    )
    whole.kill("separate")
    whole.start("separate")
    manifest = whole.done("long.mp3", 120)
    wait_until(lambda: is_idle(whole), 60)
    assert whole.manifest("long.mp3") == manifest
    assert len(whole.said("started", job=manifest["job"])) == 2
    assert separations(whole, manifest["job"]) == 1


def test_separate_killed_in_a_range_of_a_long_song_does_that_range_again_and_no_other(whole):
    whole.stop("separate")
    whole.start("separate", RANGE_SECONDS="12")
    put(whole, "long.mp3", mp3(40.0, 2.0))
    wait_until(lambda: whole.said("range done"), 90, "a range is done")
    wait_until(lambda: len(whole.said("range started")) == 2, 60, "the next one is in work")
    whole.kill("separate")
    whole.start("separate", RANGE_SECONDS="12")
    finished_once(whole, ["long.mp3"])
    done = [line["range"] for line in whole.said("range done")]
    assert sorted(done) == list(range(4))
    assert not list(whole.store.list_objects("stems", ".ranges/", recursive=True))


def test_separate_told_to_stop_hands_its_song_back(whole):
    put(whole, "handed back.mp3", mp3(36.0, 2.0), shifts="10")  # longer than the grace
    wait_until(lambda: (j := whole.job("handed back.mp3")) and j["phase"] == "separating")
    whole.stop("separate", 30)
    assert not whole.manifest("handed back.mp3")
    whole.start("separate")
    whole.done("handed back.mp3", 120)
    assert not whole.said("given up")


def test_the_bridge_killed_in_a_burst(whole):
    keys = [f"burst {n}.mp3" for n in range(6)]
    for number, key in enumerate(keys):
        put(whole, key, mp3(2.0 + number / 10))
    whole.done(keys[0], 120)
    whole.kill("bridge")
    whole.start("bridge")
    finished_once(whole, keys)


def test_the_bus_killed_in_a_burst_of_20(whole):
    keys = [f"burst {n}.mp3" for n in range(20)]
    for number, key in enumerate(keys[:10]):
        put(whole, key, mp3(1.0 + number / 20))
    whole.done(keys[0], 120)
    whole.kill("nats")
    for number, key in enumerate(keys[10:15], 10):  # while it is away
        put(whole, key, mp3(1.0 + number / 20))
    whole.start("nats")
    for number, key in enumerate(keys[15:], 15):
        put(whole, key, mp3(1.0 + number / 20))
    finished_once(whole, keys)


def test_the_store_killed_in_a_burst_of_20(whole):
    keys = [f"burst {n}.mp3" for n in range(20)]
    for number, key in enumerate(keys):
        put(whole, key, mp3(1.0 + number / 20))
    whole.done(keys[0], 120)
    whole.kill("minio")
    wait_until(lambda: whole.said("again later"), 60, "a song was tried while the store was away")
    whole.start("minio")
    whole.stored()
    finished_once(whole, keys)


def test_a_lost_notification_is_found_by_the_sweep(whole):
    whole.store.delete_bucket_notification("songs")
    result = put(whole, "lost.mp3", mp3(2.0))
    assert is_idle(whole)
    whole.start("sweep", SWEEP_GRACE_SECONDS="0")
    manifest = whole.done("lost.mp3")
    assert whole.said("lost song found", key="lost.mp3")
    assert manifest["job"] == job_id(ObjectCreated("songs", "lost.mp3", 0, result.etag))


def test_a_lost_result_notification_is_found_by_the_sweep(whole):
    whole.store.delete_bucket_notification("stems")
    put(whole, "untold.mp3", mp3(2.0))
    whole.done("untold.mp3")
    assert not whole.said("deliveries published", type="dev.microdemucs.separation.completed")
    whole.start("sweep", SWEEP_GRACE_SECONDS="0")
    wait_until(
        lambda: whole.said("deliveries published", type="dev.microdemucs.separation.completed")
    )


def test_jobs_are_rebuilt_from_the_buckets_when_their_records_are_lost(whole):
    put(whole, "kept.mp3", mp3(2.0))
    put(whole, "refused.mp3", b"no song")
    kept, refused = whole.done("kept.mp3"), whole.failed("refused.mp3")
    wait_until(lambda: is_idle(whole))
    before = wait_until(lambda: (j := whole.job("kept.mp3")) and j["state"] == "done" and j)

    async def forget(client):
        return await client.jetstream().purge_stream("KV_jobs")

    whole.on_bus("provision", forget)
    whole.kill("upload")
    whole.start("upload")
    whole.ready("upload")
    assert not whole.job("kept.mp3")
    whole.start("sweep", SWEEP_GRACE_SECONDS="0")
    after = wait_until(lambda: whole.job("kept.mp3"))
    for member in ("id", "state", "key", "etag", "song", "model", "finished"):
        assert after[member] == before[member], member
    assert wait_until(lambda: whole.job("refused.mp3"))["problem"]["type"] == refused["type"]
    assert whole.manifest("kept.mp3") == kept
