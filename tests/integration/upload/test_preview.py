"""A stem is heard while it is being made: pieces as they come, then the rest of the whole."""

import io
import uuid

import pytest
import urllib3

from microdemucs.jobs import JobState, preview_key
from testing.waiting import wait_until
from tests.integration.upload.separated import a_job

WHOLE = bytes(range(256)) * 1000


@pytest.fixture
def job(separation, client):
    """A job that is being worked on, and known to the app."""
    record = separation.tells(a_job(f"{uuid.uuid4()}.mp3"), state=JobState.RUNNING)
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").status_code == 200)
    return record


@pytest.fixture
def piece(separation, job):
    """Put a piece of the job's drums."""

    def put(number: int, data: bytes, file: str = "drums.mp3") -> None:
        key = preview_key(job.key, file, number)
        separation.store.put_object("stems", key, io.BytesIO(data), len(data))

    return put


def live(client, job, track="drums"):
    return client.get(f"/apiv1/jobs/{job.id}/live/{track}")


@pytest.mark.parametrize("track", ["drums", "drums.mp3"])
def test_the_pieces_come_in_order_and_then_the_rest_of_the_whole(
    client, separation, job, piece, track
):
    piece(1, WHOLE[:1000])
    piece(2, WHOLE[1000:1500])
    with live(client, job, track) as answer:
        assert (answer.status_code, answer.content_type) == (200, "audio/mpeg")
        heard = answer.iter_encoded()
        assert next(heard) + next(heard) == WHOLE[:1500]
        piece(3, WHOLE[1500:9000])
        assert next(heard) == WHOLE[1500:9000]
        separation.separates(job, {"drums.mp3": WHOLE})
        assert b"".join(heard) == WHOLE[9000:]


def test_a_listener_waits_for_what_comes(process, separation, job, piece):
    piece(1, b"first")
    url = f"{process}/apiv1/jobs/{job.id}/live/drums"
    wait_until(lambda: urllib3.request("HEAD", url).status == 200)
    answer = urllib3.request("GET", url, preload_content=False, timeout=20)
    heard = answer.stream(5)
    assert next(heard) == b"first"
    piece(2, b"secon")
    assert next(heard) == b"secon"
    separation.separates(job, {"drums.mp3": b"firstsecond, and last"})
    assert b"".join(heard) == b"d, and last"


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_the_stream_ends_where_the_job_fails(client, separation, job, piece, state):
    piece(1, b"all there is")
    with live(client, job) as answer:
        heard = answer.iter_encoded()
        assert next(heard) == b"all there is"
        separation.tells(job, state=state)
        assert b"".join(heard) == b""


def test_a_job_that_is_handed_back_is_waited_for(client, separation, job, piece):
    piece(1, b"one, ")
    with live(client, job) as answer:
        heard = answer.iter_encoded()
        assert next(heard) == b"one, "
        separation.tells(job, state=JobState.WAITING)
        separation.tells(job, state=JobState.RUNNING)
        piece(2, b"two")
        assert next(heard) == b"two"
        separation.tells(job, state=JobState.FAILED)
        assert b"".join(heard) == b""


def test_of_a_finished_job_it_is_the_whole_stem(client, separation, job):
    separation.separates(job, {"drums.flac": WHOLE})
    wait_until(lambda: client.get(f"/apiv1/jobs/{job.id}").json["state"] == JobState.DONE)
    with live(client, job) as answer:
        assert (answer.data, answer.content_type) == (WHOLE, "audio/flac")


@pytest.mark.parametrize(
    ("file", "rest"), [("drums.mp3", WHOLE[100:]), ("drums.wav", WHOLE[100:]), ("drums.flac", b"")]
)
def test_a_stem_that_was_encoded_again_is_entered_where_its_moments_are(
    client, separation, job, piece, file, rest
):
    piece(1, WHOLE[:100], file)
    with live(client, job) as answer:
        heard = answer.iter_encoded()
        assert next(heard) == WHOLE[:100]
        separation.writes(job.key, {file: WHOLE}, scale=0.9, job=job.id)
        separation.tells(job, state=JobState.DONE, stems=[file])
        assert b"".join(heard) == rest


def test_what_another_job_made_since_is_not_mixed_in(client, separation, job, piece):
    piece(1, WHOLE[:100])
    with live(client, job) as answer:
        heard = answer.iter_encoded()
        assert next(heard) == WHOLE[:100]
        separation.writes(job.key, {"drums.mp3": WHOLE}, job="0" * 32)
        separation.tells(job, state=JobState.DONE, stems=["drums.mp3"])
        assert b"".join(heard) == b""


def test_there_are_only_so_many_listeners_and_one_that_goes_makes_room(
    serve, separation, piece, job
):
    client = serve(EVENT_STREAMS="1")
    piece(1, WHOLE)
    wait_until(lambda: client.get(f"/apiv1/jobs/{job.id}").status_code == 200)
    with live(client, job) as first:
        assert next(first.iter_encoded())
        assert live(client, job).json["type"].endswith(":too-many-streams")
    with live(client, job) as again:
        assert again.status_code == 200


def test_what_cannot_be_heard_is_a_problem_that_says_why(client, separation, job, piece):
    def kind(track="drums", id_=job.id):
        answer = client.get(f"/apiv1/jobs/{id_}/live/{track}")
        assert answer.status_code == 404
        return answer.json["type"].rpartition(":")[2]

    assert kind() == "not-separated"
    piece(1, b"x")
    assert kind("kazoo") == kind("drums.wav") == "unknown-track"
    assert kind(id_="0" * 32) == "unknown-job"
    separation.tells(job, state=JobState.FAILED)
    wait_until(lambda: client.get(f"/apiv1/jobs/{job.id}").json["state"] == JobState.FAILED)
    assert kind() == "not-separated"
