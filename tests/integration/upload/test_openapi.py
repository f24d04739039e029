import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from functions.upload.app import create_app
from microdemucs.jobs import JobRecord
from microdemucs.options import Options
from testing.job_writer import JobWriter, new_job
from testing.waiting import wait_until
from testing.web_client import WebClient


@pytest.fixture(scope="module")
def document(client: WebClient) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/apiv1/openapi.json").json
    return document


def test_the_description_is_a_valid_openapi_document(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_exactly_the_served_routes_are_described(document: dict[str, Any]) -> None:
    described = {
        (re.sub(r"{\w+}", "{}", path), method.upper())
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters"
    }
    served = {
        (re.sub(r"<\w+>", "{}", rule.rule), method)
        for rule in create_app().url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static"
    }
    assert described == served


def schema_errors(document: dict[str, Any], schema: str, value: object) -> list[str]:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def test_answers_match_their_schemas(
    document: dict[str, Any], client: WebClient, job_writer: JobWriter
) -> None:
    record = job_writer.finish(new_job("described.mp3", format="flac"), {"drums.flac": b"d"})
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").json.get("state") == "done")
    job = client.get(f"/apiv1/jobs/{record.id}").json
    assert schema_errors(document, "Job", job) == []
    upload = client.post("/apiv1/uploads", json={"filename": "a.mp3"}).json
    assert schema_errors(document, "PresignedForm", upload) == []
    separated = client.post("/apiv1/separate", data=b"described", content_type="audio/wav")
    assert schema_errors(document, "Separated", separated.json) == []
    webhook = client.post("/apiv1/webhooks", json={"url": "https://example.com"})
    assert schema_errors(document, "WebhookWithSecret", webhook.json) == []
    path = webhook.headers["Location"]
    assert schema_errors(document, "Webhook", client.get(path).json) == []
    client.delete(path)
    assert schema_errors(document, "Problem", client.get(path).json) == []


def test_every_member_and_option_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    described = set(schemas["Job"]["properties"])
    assert described == set(JobRecord.__struct_fields__) | {
        "hash",
        "links",
        "position",
        "seconds_left",
    }
    assert set(schemas["Options"]["properties"]) == set(Options.__slots__)
    form = {"file", "options", "callback"} | set(Options.__slots__)
    assert set(schemas["SeparateForm"]["properties"]) == form


def test_the_described_types_of_a_song_are_accepted(
    document: dict[str, Any], client: WebClient
) -> None:
    content = document["paths"]["/apiv1/separate"]["post"]["requestBody"]["content"]
    assert len(content) == 6
    for type_ in content:
        content_type = type_.replace("*", "anything")
        response = client.post("/apiv1/separate", data=b"song", content_type=content_type)
        assert response.status_code != 415, type_
