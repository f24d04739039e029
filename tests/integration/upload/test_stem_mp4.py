"""stem.mp4 from a real server. test_stem_file.py has the rules of the programs that read it."""

import json
import uuid
from typing import Any

import numpy as np
import pytest

from microdemucs.jobs import JobRecord
from testing.encoded_stems import decode, encode, lag, make_samples, signal_to_noise
from testing.job_writer import JobWriter, new_job
from testing.mp4_atoms import find_atoms
from testing.waiting import wait_until
from testing.web_client import WebClient

NAMES = ("drums", "bass", "other", "vocals")
LENGTH = 80_021
STEMS = {name: make_samples(seed, LENGTH) for seed, name in enumerate(NAMES)}


def path_of(job: JobRecord) -> str:
    return f"/apiv1/jobs/{job.id}/stem.mp4"


@pytest.fixture(scope="module", params=["mp3", "flac", "wav"])
def done(request: pytest.FixtureRequest, client: WebClient, job_writer: JobWriter) -> JobRecord:
    """A job with four stems, which are not in the order of the tracks."""
    kind = request.param
    files = {f"{name}.{kind}": encode(STEMS[name], format=kind) for name in reversed(NAMES)}
    record = job_writer.finish(new_job(f"{uuid.uuid4().hex}/Söng.mp3"), files, seconds=2)
    wait_until(lambda: client.head(path_of(record)).status_code == 200)
    return record


@pytest.fixture(scope="module")
def response(client: WebClient, done: JobRecord) -> Any:
    response = client.get(path_of(done))
    assert response.status_code == 200, response.data
    return response


def test_the_atom_names_the_stems_in_the_order_of_the_tracks(response: Any) -> None:
    [content] = find_atoms(response.data, "moov/udta/stem")
    atom = json.loads(content)
    assert atom["version"] == 1
    assert [stem["name"] for stem in atom["stems"]] == ["Drums", "Bass", "Other", "Vocals"]


@pytest.mark.parametrize("track", range(5))
def test_every_track_is_in_time_with_its_stem(response: Any, track: int) -> None:
    reference = STEMS[NAMES[track - 1]] if track else np.sum([*STEMS.values()], axis=0)
    decoded = decode(response.data, track)
    assert lag(decoded, reference) == 0
    assert signal_to_noise(decoded[:, :LENGTH], reference) > 20


def test_guitar_and_piano_are_a_part_of_other(client: WebClient, job_writer: JobWriter) -> None:
    six = STEMS | {name: make_samples(9 + n, LENGTH) for n, name in enumerate(("guitar", "piano"))}
    files = {f"{name}.flac": encode(stem, format="flac") for name, stem in six.items()}
    record = job_writer.finish(new_job(f"{uuid.uuid4().hex}.mp3"), files, seconds=2)
    wait_until(lambda: client.head(path_of(record)).status_code == 200)
    data = client.get(path_of(record)).data
    assert len(find_atoms(data, "moov/trak")) == 5
    [content] = find_atoms(data, "moov/udta/stem")
    assert [stem["name"] for stem in json.loads(content)["stems"]][2] == "Other"
    for track, names in [(0, list(six)), (3, ["other", "guitar", "piano"]), (4, ["vocals"])]:
        expected = np.sum([six[name] for name in names], axis=0)
        decoded = decode(data, track)
        assert lag(decoded, expected) == 0
        assert signal_to_noise(decoded[:, :LENGTH], expected) > 20


def test_the_name_ends_as_players_expect(response: Any) -> None:
    assert 'filename="S_ng.stem.mp4"' in response.headers["Content-Disposition"]
    assert response.content_type == "audio/mp4"
    assert response.headers["Content-Length"] == str(len(response.data))


def test_head_makes_no_file(client: WebClient, done: JobRecord) -> None:
    head = client.head(path_of(done))
    assert (head.status_code, head.content_type, head.data) == (200, "audio/mp4", b"")


def test_a_job_with_other_stems_is_refused(client: WebClient, job_writer: JobWriter) -> None:
    files = {"vocals.mp3": b"v", "no_vocals.mp3": b"n"}
    record = job_writer.finish(new_job(f"{uuid.uuid4().hex}.mp3"), files)
    wait_until(lambda: client.get(path_of(record)).status_code == 409)
    problem = client.get(path_of(record)).json
    assert problem["type"] == "urn:micro-demucs:problem:not-four-stems"
    assert "vocals, no_vocals" in problem["detail"]


def test_a_hand_made_object_is_a_problem(client: WebClient, job_writer: JobWriter) -> None:
    files = {f"{name}.flac": encode(stem, format="flac") for name, stem in STEMS.items()}
    record = job_writer.finish(
        new_job(f"{uuid.uuid4().hex}.mp3"), files | {"bass.flac": b"no audio"}, seconds=2
    )
    wait_until(lambda: client.head(path_of(record)).status_code == 200)
    response = client.get(path_of(record))
    assert response.status_code == 409
    assert response.json["type"] == "urn:micro-demucs:problem:unreadable-stem"
