"""Songs that are separated again without being sent again."""

from microdemucs.jobs import job_id
from testing.songs import mp3
from testing.stack import Stack


def test_a_song_that_is_cancelled_and_retried_while_it_waits_is_separated(stack: Stack) -> None:
    stack.put_song("before it.mp3", mp3(40.0, 6.0), shifts="3")
    stack.wait_for_job("before it.mp3", "running")
    job = job_id(stack.put_song("retried.mp3", mp3(3.0, 8.1)))
    stack.wait_for_job("retried.mp3", "waiting")
    stack.api("DELETE", f"/apiv1/jobs/{job}")
    assert stack.api("POST", f"/apiv1/jobs/{job}/retry")["state"] == "waiting"
    assert stack.wait_for_manifest("retried.mp3")["job"] == job
    stack.wait_for_job("retried.mp3", "done")
    assert not stack.failure("retried.mp3")


def test_a_song_whose_stems_were_removed_is_separated_again_by_a_retry(stack: Stack) -> None:
    job = job_id(stack.put_song("once more.mp3", mp3(3.0, 8.2)))
    first = stack.wait_for_manifest("once more.mp3")
    stack.wait_for_job("once more.mp3", "done")
    stack.api("DELETE", f"/apiv1/jobs/{job}")
    assert not stack.manifest("once more.mp3")
    stack.api("POST", f"/apiv1/jobs/{job}/retry")
    second = stack.wait_for_manifest("once more.mp3")
    assert (second["job"], second["created"] > first["created"]) == (job, True)
