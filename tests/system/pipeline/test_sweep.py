"""The sweep beside all other components: whatever it finds, it settles."""

import io
import json
from functools import partial

from nats.aio.client import Client

from microdemucs.jobs import job_id
from testing.songs import mp3
from testing.stack import Stack
from testing.waiting import wait_until
from tests.integration.minio_events.program import run_program
from tests.integration.minio_events.sweep_stack import NOTHING

LONG_KEY = "/".join(["d" * 200] * 4) + "/" + "k" * 208 + ".mp3"


def sweep(stack: Stack) -> dict[str, int]:
    """Sweep once, wait until its messages are handled, and return the number of repairs."""
    completed = run_program(stack, "sweep", ["sweep"], SWEEP_GRACE_SECONDS="0")
    assert (completed.returncode, completed.stderr) == (0, "")
    swept = json.loads(completed.stdout.splitlines()[-1])
    wait_until_idle(stack)
    return {name: swept[name] for name in NOTHING}


def wait_until_idle(stack: Stack) -> None:
    for stream, consumer in (("SONGS", "intake"), ("SONGS", "separate"), ("STEMS", "results")):
        wait_until(partial(stack.is_idle, stream, consumer), 60, what="no message left")


def put(stack: Stack, bucket: str, key: str, body: bytes) -> None:
    stack.store.put_object(bucket, key, io.BytesIO(body), len(body))


def remove_results(stack: Stack, key: str) -> None:
    for item in stack.store.list_objects("stems", f"{key}/", recursive=True):
        stack.store.remove_object("stems", item.object_name or "")


def forget_job(stack: Stack, job: str) -> None:
    """Delete a job's record from the bus."""

    async def delete(client: Client) -> None:
        await (await client.jetstream().key_value("jobs")).delete(job)

    stack.on_bus("tests", delete)


def test_every_content_of_the_buckets_is_settled_by_the_second_look(stack: Stack) -> None:
    keys = ("kept.mp3", "stems gone.mp3", "broken.mp3", "broken, no record.mp3", "song gone.mp3")
    songs = {key: stack.put_song(f"sweep/{key}", mp3(3 + n / 10)) for n, key in enumerate(keys)}
    lost = stack.put_song("sweep/lost.mp3", mp3(3.7))
    stack.put_song("sweep/no audio.mp3", b"a text")
    stack.put_song(LONG_KEY, mp3(3.8))
    for key in keys:
        stack.wait_for_manifest(f"sweep/{key}")
    stack.wait_for_manifest(lost.key)
    stack.wait_for_failure("sweep/no audio.mp3")
    stack.wait_for_job(LONG_KEY, "failed")
    wait_until_idle(stack)

    remove_results(stack, "sweep/stems gone.mp3")
    remove_results(stack, lost.key)
    forget_job(stack, job_id(lost))
    put(stack, "stems", "sweep/broken.mp3/manifest.json", b"no JSON")
    put(stack, "stems", "sweep/broken, no record.mp3/manifest.json", b"no JSON")
    forget_job(stack, job_id(songs["broken, no record.mp3"]))
    stack.store.remove_object("songs", "sweep/song gone.mp3")
    put(stack, "songs", "sweep/folder/", b"")
    put(stack, "songs", "sweep/cover.jpg", b"an image")
    put(stack, "stems", "foreign/notes.txt", b"a text")
    put(stack, "stems", "foreign/manifest.json", b"{}")
    put(stack, "stems", "foreign/failure.json", b"[]")
    put(
        stack,
        "stems",
        "copied/manifest.json",
        json.dumps(stack.manifest("sweep/kept.mp3")).encode(),
    )
    wait_until_idle(stack)

    first = sweep(stack)
    assert first["songs"] == 2  # the lost one, and the one that has neither record nor manifest
    assert first["removed"] >= 1  # other tests replaced stems by those of other options
    sweep(stack)
    assert sweep(stack) == NOTHING
    assert not stack.manifest("sweep/stems gone.mp3")
    assert stack.manifest("sweep/lost.mp3")
    [job] = stack.api("GET", "/apiv1/jobs?key=sweep/stems gone.mp3".replace(" ", "%20"))["jobs"]
    assert (job["state"], job["stems"]) == ("done", [])
    assert job["removed"]
    assert len(stack.logged("job rejected", kind="key-too-long")) == 1
