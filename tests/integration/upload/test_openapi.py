import re

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from functions.upload.app import web
from microdemucs.jobs import JobRecord
from microdemucs.options import Options
from testing.waiting import wait_until
from tests.integration.upload.separated import a_job


@pytest.fixture(scope="module")
def document(client) -> dict:
    return client.get("/apiv1/openapi.json").json


def test_the_description_is_an_openapi_document(document):
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_is_described_and_nothing_else(document):
    described = {
        (re.sub(r"{\w+}", "{}", path), method.upper())
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters"
    }
    served = {
        (re.sub(r"<\w+>", "{}", rule.rule), method)
        for rule in web().url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static"
    }
    assert described == served


def fits(document: dict, schema: str, value: object) -> list[str]:
    """What of `value` is not as the schema of this name says."""
    whole = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def test_what_is_answered_is_as_described(document, client, separation):
    record = separation.separates(a_job("described.mp3", format="flac"), {"drums.flac": b"d"})
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").json.get("state") == "done")
    assert fits(document, "Job", client.get(f"/apiv1/jobs/{record.id}").json) == []
    assert (
        fits(document, "Grant", client.post("/apiv1/uploads", json={"filename": "a.mp3"}).json)
        == []
    )
    webhook = client.post("/apiv1/webhooks", json={"url": "https://example.com"})
    assert fits(document, "WebhookWithSecret", webhook.json) == []
    path = webhook.headers["Location"]
    assert fits(document, "Webhook", client.get(path).json) == []
    client.delete(path)
    assert fits(document, "Problem", client.get(path).json) == []


def test_every_member_and_option_is_described(document):
    schemas = document["components"]["schemas"]
    described = set(schemas["Job"]["properties"])
    assert described == set(JobRecord.__struct_fields__) | {"hash", "links"}
    assert set(schemas["Options"]["properties"]) == set(Options.__slots__)
