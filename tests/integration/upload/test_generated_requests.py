"""Schemathesis sends generated requests to every route: each answer is documented, none is 5xx.

GENERATED_REQUESTS sets how many for each route and kind of request.
"""

import os
from typing import Any

import pytest
import schemathesis
import urllib3
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from microdemucs.paths import FUNCTIONS
from testing.job_writer import JobWriter, new_job
from testing.waiting import wait_until

EXAMPLES = int(os.environ.get("GENERATED_REQUESTS", "15"))
# The last check is not for a stream of events: OpenAPI 3.1 cannot describe one.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_path(FUNCTIONS / "upload" / "openapi.json")


def read_operations() -> dict[str, APIOperation]:
    """Return the operations of the document by their labels, such as "GET /healthz"."""
    operations = {}
    for result in SCHEMA.get_all_operations():
        assert isinstance(result, Ok), result
        if result.ok().path == "/apiv1/events":
            continue  # its answer lasts for minutes
        operations[result.ok().label] = result.ok()
    return operations


OPERATIONS = read_operations()
WITH_PATH_PARAMETERS = [route for route in OPERATIONS if "{" in route]
WITH_BODY_OR_QUERY = [
    route
    for route, operation in OPERATIONS.items()
    if operation.body or operation.query  # any text is a valid part of a path
]


def send_generated(requests: SearchStrategy[Case], url: str) -> None:
    """Send the same requests in each run. Raises an error that shows the request as curl."""

    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(requests)
    def send(case: Case) -> None:
        checks = CHECKS[:-1] if case.operation.path.endswith("/events") else CHECKS
        case.call_and_validate(base_url=url, checks=checks, timeout=20)

    send()


@pytest.mark.parametrize("route", OPERATIONS)
def test_every_answer_to_a_valid_request_is_documented(route: str, process: str) -> None:
    send_generated(OPERATIONS[route].as_strategy(), process)


@pytest.mark.parametrize("route", WITH_BODY_OR_QUERY)
def test_every_answer_to_an_invalid_request_is_documented(route: str, process: str) -> None:
    invalid = OPERATIONS[route].as_strategy(generation_mode=GenerationMode.NEGATIVE)
    send_generated(invalid, process)


@pytest.mark.parametrize("route", WITH_PATH_PARAMETERS)
def test_every_answer_about_something_that_exists_is_documented(
    route: str, process: str, job_writer: JobWriter
) -> None:
    record = job_writer.finish(new_job(f"{route}.mp3"), {"drums.mp3": b"d"})
    job_url = f"{process}/apiv1/jobs/{record.id}"
    wait_until(lambda: urllib3.request("GET", job_url).json().get("state") == "done")
    hook = {"url": "https://example.com/hook"}
    webhook = urllib3.request("POST", f"{process}/apiv1/webhooks", json=hook).json()
    existing: dict[str, Any] = {
        "id": webhook["id"] if "webhooks" in route else record.id,
        "hash": urllib3.request("GET", job_url).json()["hash"],
        "track": "drums.mp3",
    }
    names = {parameter.name for parameter in OPERATIONS[route].path_parameters}
    path = {name: value for name, value in existing.items() if name in names}
    try:
        send_generated(OPERATIONS[route].as_strategy(path_parameters=path), process)
    finally:  # other tests list all webhooks
        urllib3.request("DELETE", f"{process}/apiv1/webhooks/{webhook['id']}")
