"""A Job fetches a model into the bucket; the API offers it, and pods separate with it."""

from collections.abc import Iterator

import pytest
import urllib3

from testing.cluster import fetch_models
from testing.cluster.kubectl import kubectl
from testing.cluster.service import GATEWAY, TOKEN, Service
from testing.songs import mp3
from testing.waiting import wait_until

MODEL = "htdemucs_6s"


@pytest.fixture(scope="module")
def fetched(service: Service) -> Iterator[str]:
    """What the Job printed that fetched the model."""
    fetch_models.start_hub()
    try:
        yield fetch_models.fetch(MODEL)
    finally:
        fetch_models.stop_hub()


def ask_for(model: str) -> urllib3.BaseHTTPResponse:
    """Ask for a form to upload a song that this model is to separate."""
    return urllib3.request(
        "POST",
        f"{GATEWAY}/apiv1/uploads",
        headers={"Host": "upload.micro-demucs.localhost", "Authorization": f"Bearer {TOKEN}"},
        json={"filename": "a.mp3", "options": {"model": model}},
        timeout=60,
    )


def test_the_job_puts_the_model_into_the_bucket(service: Service, fetched: str) -> None:
    assert f"{MODEL} is in the bucket models" in fetched
    stored = {item.object_name for item in service.store.list_objects("models", f"{MODEL}/")}
    assert stored == {f"{MODEL}/{MODEL}.yaml", f"{MODEL}/5c90dfd2.safetensors"}


def test_a_pod_separates_with_the_model_of_the_bucket(service: Service, fetched: str) -> None:
    key = service.put_song(mp3(4.0), model=MODEL)
    assert service.wait_for_manifest(key)["model"]["name"] == MODEL


def test_the_api_offers_the_model_and_refuses_another(service: Service, fetched: str) -> None:
    service.wake("separate")  # it publishes its own models
    wait_until(lambda: service.api("GET", "/apiv1/models")["complete"], 60, "models are published")
    models = service.api("GET", "/apiv1/models")
    assert {model["name"]: model["location"] for model in models["models"]} == {
        "htdemucs": "folder",
        "htdemucs_tiny": "bundled",
        MODEL: "bucket",
    }
    assert ask_for(MODEL).status == 201
    refused = ask_for("htdemux")
    assert refused.status == 422
    assert f"it accepts htdemucs, {MODEL}, htdemucs_tiny" in refused.json()["detail"]


def test_the_job_has_no_rights_elsewhere(service: Service, fetched: str) -> None:
    variables = kubectl("get", "job/models", "-o", "jsonpath={..secretRef.name}")
    assert variables.split() == ["models"]
    account = kubectl("get", "job/models", "-o", "jsonpath={..serviceAccountName}")
    assert account == "models"
