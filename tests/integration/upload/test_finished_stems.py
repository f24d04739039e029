import uuid

import flask
import pytest

from functions.upload.context import context
from functions.upload.finished_stems import find_finished_stems
from microdemucs.problems import Problem
from testing.job_writer import JobWriter, new_job
from testing.waiting import wait_until
from testing.web_client import WebClient


def finish(client: WebClient, job_writer: JobWriter, stems: dict[str, bytes]) -> str:
    """Write a job that is done; return its id."""
    record = job_writer.finish(new_job(f"{uuid.uuid4().hex}.mp3"), stems)
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").json.get("state") == "done")
    return record.id


def app_of(client: WebClient) -> flask.Flask:
    application: flask.Flask = client.application
    return application


def test_stems_come_in_the_order_of_the_manifest_with_their_sizes_in_the_store(
    client: WebClient, job_writer: JobWriter
) -> None:
    id_ = finish(client, job_writer, {"vocals.mp3": b"12", "drums.mp3": b"123"})
    with app_of(client).app_context():
        found = find_finished_stems(context(), id_)
    assert [(stem.entry.name, stem.size) for stem in found.stems] == [("vocals", 2), ("drums", 3)]
    assert all(len(stem.etag) == 32 for stem in found.stems)


def test_a_hand_made_manifest_with_too_many_stems_is_not_believed(
    client: WebClient, job_writer: JobWriter
) -> None:
    id_ = finish(client, job_writer, {f"stem{n}.mp3": b"1" for n in range(33)})
    with app_of(client).app_context(), pytest.raises(Problem) as caught:
        find_finished_stems(context(), id_)
    assert (caught.value.status, caught.value.kind) == (404, "track-removed")
