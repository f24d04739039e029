"""Any component is killed, or a notification is lost: every song is still separated once."""

from nats.aio.client import Client

from microdemucs.jobs import job_id
from testing.songs import mp3
from testing.stack import Stack
from testing.waiting import wait_until


def separations(stack: Stack, job: str) -> int:
    """Return how often a job was finished, not counting the times it was already done."""
    finished = len(stack.logged("job done", job=job))
    return finished - len(stack.logged("job was done before", job=job))


def assert_separated_once(stack: Stack, keys: list[str], *, fewest_logged: int = 1) -> None:
    """Assert that each song has a manifest, of its own job, and was separated once."""
    jobs = [stack.wait_for_manifest(key, 240)["job"] for key in keys]
    wait_until(stack.is_idle, 120, "no message is pending")
    assert len(set(jobs)) == len(keys)
    for key, job in zip(keys, jobs, strict=True):
        assert (stack.manifest(key) or {})["job"] == job
        assert fewest_logged <= separations(stack, job) <= 1, key
    names = {o.object_name or "" for o in stack.store.list_objects("stems", recursive=True)}
    manifests = [name for name in names if name.endswith("/manifest.json")]
    assert sorted(manifests) == sorted(f"{key}/manifest.json" for key in keys)


def test_a_song_is_finished_after_separate_is_killed_and_restarted(stack: Stack) -> None:
    stack.put_song("long.mp3", mp3(20.0))
    wait_until(lambda: stack.progress("long.mp3") > 0.1, what="the song is being separated")
    stack.kill("separate")
    stack.start("separate")
    manifest = stack.wait_for_manifest("long.mp3", 120)
    wait_until(stack.is_idle, 60)
    assert stack.manifest("long.mp3") == manifest
    assert len(stack.logged("job started", job=manifest["job"])) == 2
    assert separations(stack, manifest["job"]) == 1


def test_only_the_interrupted_range_is_repeated_after_separate_is_killed(stack: Stack) -> None:
    stack.stop("separate")
    stack.start("separate", RANGE_SECONDS="12")
    stack.put_song("long.mp3", mp3(40.0, 2.0))
    wait_until(lambda: stack.logged("range done"), 90, "a range is done")
    wait_until(lambda: len(stack.logged("range started")) == 2, 60, "the next range is started")
    stack.kill("separate")
    stack.start("separate", RANGE_SECONDS="12")
    assert_separated_once(stack, ["long.mp3"])
    done = [line["range"] for line in stack.logged("range done")]
    assert sorted(done) == list(range(4))
    assert not list(stack.store.list_objects("stems", ".ranges/", recursive=True))


def test_separate_requeues_its_song_on_sigterm(stack: Stack) -> None:
    stack.put_song("requeued.mp3", mp3(36.0, 2.0), shifts="10")  # takes longer than GRACE_SECONDS
    wait_until(lambda: (stack.job("requeued.mp3") or {}).get("phase") == "separating")
    stack.stop("separate", 30)
    assert not stack.manifest("requeued.mp3")
    stack.start("separate")
    stack.wait_for_manifest("requeued.mp3", 300)
    assert not stack.logged("message dead-lettered")


def test_the_bridge_is_killed_during_a_burst(stack: Stack) -> None:
    keys = [f"burst {n}.mp3" for n in range(6)]
    for number, key in enumerate(keys):
        stack.put_song(key, mp3(2.0 + number / 10))
    stack.wait_for_manifest(keys[0], 120)
    stack.kill("bridge")
    stack.start("bridge")
    assert_separated_once(stack, keys)


def test_the_bus_is_killed_during_a_burst(stack: Stack) -> None:
    keys = [f"burst {n}.mp3" for n in range(20)]
    for number, key in enumerate(keys[:10]):
        stack.put_song(key, mp3(1.0 + number / 20))
    stack.wait_for_manifest(keys[0], 120)
    stack.kill("nats")
    for number, key in enumerate(keys[10:15], 10):  # while the bus is down
        stack.put_song(key, mp3(1.0 + number / 20))
    stack.start("nats")
    for number, key in enumerate(keys[15:], 15):
        stack.put_song(key, mp3(1.0 + number / 20))
    # a job whose manifest was written while the bus went away is only logged as "done before"
    assert_separated_once(stack, keys, fewest_logged=0)


def test_the_store_is_killed_during_a_burst(stack: Stack) -> None:
    keys = [f"burst {n}.mp3" for n in range(20)]
    for number, key in enumerate(keys):
        stack.put_song(key, mp3(1.0 + number / 20))
    stack.wait_for_manifest(keys[0], 120)
    stack.kill("minio")
    wait_until(
        lambda: stack.logged("retry scheduled"), 60, "a song is tried while the store is down"
    )
    stack.start("minio")
    stack.wait_for_store()
    assert_separated_once(stack, keys)


def test_the_sweep_finds_a_song_whose_notification_is_lost(stack: Stack) -> None:
    stack.store.delete_bucket_notification("songs")
    song = stack.put_song("lost.mp3", mp3(2.0))
    assert stack.is_idle()
    stack.start("sweep", SWEEP_GRACE_SECONDS="0")
    manifest = stack.wait_for_manifest("lost.mp3")
    assert stack.logged("lost song found", key="lost.mp3")
    assert manifest["job"] == job_id(song)


def test_the_sweep_finds_a_result_whose_notification_is_lost(stack: Stack) -> None:
    stack.store.delete_bucket_notification("stems")
    stack.put_song("unannounced.mp3", mp3(2.0))
    stack.wait_for_manifest("unannounced.mp3")
    stack.start("sweep", SWEEP_GRACE_SECONDS="0")
    wait_until(lambda: stack.logged("lost result found"))
    wait_until(
        lambda: stack.logged("deliveries published", type="dev.microdemucs.separation.completed")
    )


def test_the_sweep_rebuilds_lost_job_records_from_the_buckets(stack: Stack) -> None:
    stack.put_song("kept.mp3", mp3(2.0))
    stack.put_song("rejected.mp3", b"not audio")
    kept, rejected = stack.wait_for_manifest("kept.mp3"), stack.wait_for_failure("rejected.mp3")
    wait_until(stack.is_idle)
    before = stack.wait_for_job("kept.mp3", "done")

    async def purge(client: Client) -> None:
        await client.jetstream().purge_stream("KV_jobs")

    stack.on_bus("provision", purge)
    stack.kill("upload")
    stack.start("upload")
    stack.wait_until_ready("upload")
    assert not stack.job("kept.mp3")
    stack.start("sweep", SWEEP_GRACE_SECONDS="0")
    after = wait_until(lambda: stack.job("kept.mp3"))
    for field in ("id", "state", "key", "etag", "song", "model", "finished"):
        assert after[field] == before[field], field
    assert wait_until(lambda: stack.job("rejected.mp3"))["problem"]["type"] == rejected["type"]
    assert stack.manifest("kept.mp3") == kept
