"""The view follows a real bucket."""

from microdemucs.bus import JOBS
from microdemucs.jobs import JobState
from testing.job_writer import JobWriter, new_job
from testing.waiting import wait_until
from testing.web_client import WebClient


def test_a_deleted_record_disappears(client: WebClient, job_writer: JobWriter) -> None:
    record = job_writer.write_record(new_job("forgotten.mp3"), state=JobState.DONE)
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").status_code == 200)
    job_writer.bus.delete(JOBS, record.id)
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").status_code == 404)


def test_an_unreadable_record_does_not_stop_the_watch(
    client: WebClient, job_writer: JobWriter
) -> None:
    job_writer.bus.put(JOBS, "broken", b"[]")
    record = job_writer.write_record(new_job("after-broken.mp3"), state=JobState.DONE)
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").status_code == 200)
    job_writer.bus.delete(JOBS, "broken")
