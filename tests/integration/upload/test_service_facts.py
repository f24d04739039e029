import uuid
from collections.abc import Callable

import pytest

from microdemucs.jobs import JobState
from microdemucs.work_estimate import WorkEstimate
from testing.job_writer import JobWriter, new_job
from testing.waiting import wait_until
from testing.web_client import WebClient


def test_it_has_the_limits_and_the_retention_of_the_settings(
    serve: Callable[..., WebClient],
) -> None:
    client = serve(
        MAX_SONG_BYTES="1000", MAX_SONG_SECONDS="90", STEMS_RETENTION_DAYS="7", LINK_HOURS="2"
    )
    service = client.get("/apiv1/service").json
    assert (service["songs"]["max_bytes"], service["songs"]["max_seconds"]) == (1000, 90)
    assert service["retention_days"] == {"songs": None, "stems": 7, "jobs": 30}
    assert service["link_hours"] == 2


def test_it_has_the_accepted_suffixes_and_types(client: WebClient) -> None:
    service = client.get("/apiv1/service").json
    formats = {format_["name"]: format_ for format_ in service["songs"]["formats"]}
    assert ".aiff" in formats["AIFF"]["suffixes"]
    assert "video/mp4" in formats["MP4"]["types"]
    assert {"name": "flac", "type": "audio/flac"} in service["stems"]["formats"]


def test_it_needs_no_token_and_shows_none(serve: Callable[..., WebClient]) -> None:
    response = serve(API_TOKENS="secret-token", HOST="0.0.0.0").get("/apiv1/service")
    assert response.status_code == 200
    assert "secret" not in response.text


def test_the_speed_is_that_of_past_jobs_of_the_default_model(
    client: WebClient, job_writer: JobWriter
) -> None:
    model = f"model-{uuid.uuid4()}"
    job_writer.write_record(
        new_job(f"{uuid.uuid4()}.mp3"),
        state=JobState.DONE,
        model=model,
        started="2999-01-01T00:00:00.000Z",
        finished="2999-01-01T00:00:10.000Z",
        song={"seconds": 100.0},
        estimate=WorkEstimate(passes=1, windows=8, network_seconds=62.4, output_bytes=1),
    )
    wait_until(lambda: client.get("/apiv1/service").json["speed"]["model"] == model)
    speed = client.get("/apiv1/service").json["speed"]
    assert speed["real_time_factor"] == pytest.approx(0.1)
    assert speed["seconds_for_4_minutes"] == 24.0
