"""Someone pulls the plug anywhere, and every song still comes out once."""

from microdemucs.events import ObjectCreated
from microdemucs.jobs import job_id
from testing.songs import mp3
from testing.waiting import wait_until


def separations(stack, job):
    """How often the job came to its end; being found done before is not one."""
    return len(stack.logged("done", job=job)) - len(
        [line for line in stack.logged("done before") if line["job"] == job]
    )


def finished_once(stack, keys):
    """Every song has its manifest, of a job of its own, and no job finished twice."""
    jobs = [stack.wait_for_manifest(key, 240)["job"] for key in keys]
    wait_until(stack.is_idle, 120, "nothing is on its way any more")
    assert len(set(jobs)) == len(keys)
    for key, job in zip(keys, jobs, strict=True):
        assert stack.manifest(key)["job"] == job
        assert separations(stack, job) == 1, key
    there = stack.store.list_objects("stems", recursive=True)
    manifests = [o.object_name for o in there if o.object_name.endswith("/manifest.json")]
    assert sorted(manifests) == sorted(f"{key}/manifest.json" for key in keys)


def test_separate_killed_in_the_middle_of_a_song_finishes_it_after_its_restart(stack):
    stack.put_song("long.mp3", mp3(20.0))
    wait_until(
        lambda: (j := stack.job("long.mp3")) and j["state"] == "running" and j["progress"] > 0.1,
        what="in the middle of the song",
    )
    stack.kill("separate")
    stack.start("separate")
    manifest = stack.wait_for_manifest("long.mp3", 120)
    wait_until(stack.is_idle, 60)
    assert stack.manifest("long.mp3") == manifest
    assert len(stack.logged("started", job=manifest["job"])) == 2
    assert separations(stack, manifest["job"]) == 1


def test_separate_killed_in_a_range_of_a_long_song_does_that_range_again_and_no_other(stack):
    stack.stop("separate")
    stack.start("separate", RANGE_SECONDS="12")
    stack.put_song("long.mp3", mp3(40.0, 2.0))
    wait_until(lambda: stack.logged("range done"), 90, "a range is done")
    wait_until(lambda: len(stack.logged("range started")) == 2, 60, "the next one is in work")
    stack.kill("separate")
    stack.start("separate", RANGE_SECONDS="12")
    finished_once(stack, ["long.mp3"])
    done = [line["range"] for line in stack.logged("range done")]
    assert sorted(done) == list(range(4))
    assert not list(stack.store.list_objects("stems", ".ranges/", recursive=True))


def test_separate_told_to_stop_hands_its_song_back(stack):
    stack.put_song("handed back.mp3", mp3(36.0, 2.0), shifts="10")  # longer than the grace
    wait_until(lambda: (j := stack.job("handed back.mp3")) and j["phase"] == "separating")
    stack.stop("separate", 30)
    assert not stack.manifest("handed back.mp3")
    stack.start("separate")
    stack.wait_for_manifest("handed back.mp3", 120)
    assert not stack.logged("message dead-lettered")


def test_the_bridge_killed_in_a_burst(stack):
    keys = [f"burst {n}.mp3" for n in range(6)]
    for number, key in enumerate(keys):
        stack.put_song(key, mp3(2.0 + number / 10))
    stack.wait_for_manifest(keys[0], 120)
    stack.kill("bridge")
    stack.start("bridge")
    finished_once(stack, keys)


def test_the_bus_killed_in_a_burst_of_20(stack):
    keys = [f"burst {n}.mp3" for n in range(20)]
    for number, key in enumerate(keys[:10]):
        stack.put_song(key, mp3(1.0 + number / 20))
    stack.wait_for_manifest(keys[0], 120)
    stack.kill("nats")
    for number, key in enumerate(keys[10:15], 10):  # while it is away
        stack.put_song(key, mp3(1.0 + number / 20))
    stack.start("nats")
    for number, key in enumerate(keys[15:], 15):
        stack.put_song(key, mp3(1.0 + number / 20))
    finished_once(stack, keys)


def test_the_store_killed_in_a_burst_of_20(stack):
    keys = [f"burst {n}.mp3" for n in range(20)]
    for number, key in enumerate(keys):
        stack.put_song(key, mp3(1.0 + number / 20))
    stack.wait_for_manifest(keys[0], 120)
    stack.kill("minio")
    wait_until(
        lambda: stack.logged("retry scheduled"), 60, "a song was tried while the store was away"
    )
    stack.start("minio")
    stack.wait_for_store()
    finished_once(stack, keys)


def test_a_lost_notification_is_found_by_the_sweep(stack):
    stack.store.delete_bucket_notification("songs")
    result = stack.put_song("lost.mp3", mp3(2.0))
    assert stack.is_idle()
    stack.start("sweep", SWEEP_GRACE_SECONDS="0")
    manifest = stack.wait_for_manifest("lost.mp3")
    assert stack.logged("lost song found", key="lost.mp3")
    assert manifest["job"] == job_id(ObjectCreated("songs", "lost.mp3", 0, result.etag))


def test_a_lost_result_notification_is_found_by_the_sweep(stack):
    stack.store.delete_bucket_notification("stems")
    stack.put_song("untold.mp3", mp3(2.0))
    stack.wait_for_manifest("untold.mp3")
    assert not stack.logged("deliveries published", type="dev.microdemucs.separation.completed")
    stack.start("sweep", SWEEP_GRACE_SECONDS="0")
    wait_until(
        lambda: stack.logged("deliveries published", type="dev.microdemucs.separation.completed")
    )


def test_jobs_are_rebuilt_from_the_buckets_when_their_records_are_lost(stack):
    stack.put_song("kept.mp3", mp3(2.0))
    stack.put_song("refused.mp3", b"no song")
    kept, refused = stack.wait_for_manifest("kept.mp3"), stack.wait_for_failure("refused.mp3")
    wait_until(stack.is_idle)
    before = wait_until(lambda: (j := stack.job("kept.mp3")) and j["state"] == "done" and j)

    async def forget(client):
        return await client.jetstream().purge_stream("KV_jobs")

    stack.on_bus("provision", forget)
    stack.kill("upload")
    stack.start("upload")
    stack.wait_until_ready("upload")
    assert not stack.job("kept.mp3")
    stack.start("sweep", SWEEP_GRACE_SECONDS="0")
    after = wait_until(lambda: stack.job("kept.mp3"))
    for member in ("id", "state", "key", "etag", "song", "model", "finished"):
        assert after[member] == before[member], member
    assert wait_until(lambda: stack.job("refused.mp3"))["problem"]["type"] == refused["type"]
    assert stack.manifest("kept.mp3") == kept
