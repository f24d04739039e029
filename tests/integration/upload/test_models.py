"""The list of models, and which options of new jobs are refused because of their model."""

import io
from collections.abc import Iterator
from typing import Any

import pytest

from microdemucs.jobs import JobRecord, JobState
from microdemucs.models.catalogue import BUNDLED_MODEL, RECORD_KEY, ModelsRecord
from microdemucs.models.description import OPENVINO
from microdemucs.problems import now
from testing.job_writer import JobWriter
from testing.network_files import SOURCES, network_file
from testing.objects import put_song
from testing.stack import Stack
from testing.waiting import wait_until
from testing.web_client import WebClient


@pytest.fixture
def published(stack: Stack) -> Iterator[None]:
    """separate has the bundled model only, and the bucket has the model `mine`."""
    record = ModelsRecord(engines=[OPENVINO], models=[BUNDLED_MODEL]).write()
    objects = {RECORD_KEY: record, "mine/mine.safetensors": network_file()}
    for key, data in objects.items():
        stack.store.put_object("models", key, io.BytesIO(data), len(data))
    yield
    for key in objects:
        stack.store.remove_object("models", key)


@pytest.mark.usefixtures("published")
def test_the_models_are_listed_with_the_default(client: WebClient) -> None:
    response = client.get("/apiv1/models")
    assert response.status_code == 200
    assert response.json["default"] == "htdemucs_tiny"
    assert response.json["complete"] is True
    assert [(one["name"], one["location"]) for one in response.json["models"]] == [
        ("htdemucs_tiny", "bundled"),
        ("mine", "bucket"),
    ]
    assert response.json["models"][1] == {
        "name": "mine",
        "sources": SOURCES,
        "segment": 7.8,
        "max_segment": 7.8,
        "networks": 1,
        "note": "",
        "location": "bucket",
    }


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model": "htdemux"}, "model is 'htdemux'; it accepts htdemucs_tiny, mine"),
    (
        {"model": "mine", "stems": ["piano"]},
        "stems is 'piano'; it accepts drums, bass, other, vocals",
    ),
    ({"segment": 5}, "segment is '5'; it accepts 1 to 3.9 with htdemucs_tiny"),
]


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(("options", "detail"), REFUSED)
def test_no_form_is_made_for_a_job_that_would_fail(
    client: WebClient, options: dict[str, Any], detail: str
) -> None:
    response = client.post("/apiv1/uploads", json={"filename": "a.mp3", "options": options})
    assert response.status_code == 422
    assert response.json["type"] == "urn:micro-demucs:problem:bad-option"
    assert response.json["detail"] == detail


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(("options", "detail"), REFUSED)
def test_no_song_is_stored_for_a_job_that_would_fail(
    client: WebClient, stack: Stack, options: dict[str, Any], detail: str
) -> None:
    before = [found.object_name for found in stack.store.list_objects("songs")]
    query = {
        name: ",".join(value) if isinstance(value, list) else value
        for name, value in options.items()
    }
    response = client.post(
        "/apiv1/separate", query_string=query, data=b"song of no model", content_type="audio/mpeg"
    )
    assert (response.status_code, response.json["detail"]) == (422, detail)
    assert [found.object_name for found in stack.store.list_objects("songs")] == before


@pytest.mark.usefixtures("published")
def test_a_job_whose_model_is_gone_is_not_retried(
    client: WebClient, stack: Stack, job_writer: JobWriter
) -> None:
    song = put_song(stack.store, "models/gone.mp3", b"music", metadata={"model": "gone"})
    record = job_writer.write_record(JobRecord.of(song), state=JobState.FAILED, finished=now())
    path = f"/apiv1/jobs/{record.id}"
    wait_until(lambda: client.get(path).json.get("state") == JobState.FAILED)
    response = client.post(f"{path}/retry")
    assert (response.status_code, response.json["option"]) == (422, "model")
    assert client.get(path).json["state"] == JobState.FAILED


@pytest.mark.usefixtures("published")
def test_a_model_of_the_list_is_accepted(client: WebClient) -> None:
    options = {"model": "mine", "two_stems": "vocals", "segment": 7.8}
    response = client.post("/apiv1/uploads", json={"filename": "a.mp3", "options": options})
    assert response.status_code == 201


def test_before_separate_has_started_no_name_is_refused(client: WebClient) -> None:
    response = client.post(
        "/apiv1/uploads", json={"filename": "a.mp3", "options": {"model": "on-a-volume"}}
    )
    assert response.status_code == 201
    assert client.get("/apiv1/models").json["complete"] is False


def test_if_the_models_cannot_be_read_no_name_is_refused(
    serve: Any, stack: Stack, published: None
) -> None:
    rights = stack.connection("notify")  # may not read the bucket of models
    keys = {name: rights[name] for name in ("STORE_ACCESS_KEY", "STORE_SECRET_KEY")}
    blind = serve(**keys)
    assert blind.get("/apiv1/models").status_code == 503
    response = blind.post(
        "/apiv1/uploads", json={"filename": "a.mp3", "options": {"model": "htdemux"}}
    )
    assert response.status_code == 201
