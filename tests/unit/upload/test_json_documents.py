import json

import flask
import pytest

from functions.upload.json_documents import (
    bad_hidden_value,
    bad_value,
    describe,
    parse_document,
    parse_object,
    read_document,
    require_json,
)
from microdemucs.problems import Problem

app = flask.Flask(__name__)

HALF = "a text has one half of a surrogate pair without the other"
SURROGATES = (
    b'{"a": "\\ud800"}',
    b'{"a": "x\\udfff y"}',
    b'{"a": {"b": [1, "\\ude00\\ud83d"]}}',
    b'{"\\ud800": 1}',
    b'{"a": {"\\ud800": 1}}',
)


def problem_of(text: bytes, *allowed: str) -> Problem:
    with pytest.raises(Problem) as raised:
        parse_document(text, *allowed)
    return raised.value


def test_an_object_with_allowed_members_is_returned() -> None:
    assert parse_document(b'{"a": 1, "b": [true]}', "a", "b", "c") == {"a": 1, "b": [True]}


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (b"{", "Expecting property name enclosed in double quotes at character 1"),
        (b"", "Expecting value at character 0"),
        (b'{"a": NaN}', "NaN is not a JSON value"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON value"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", "it is nested too deeply"),
        *((text, HALF) for text in SURROGATES),
        (b'{"a": [1e999]}', "a number is too large"),
    ],
)
def test_invalid_json_is_rejected_with_the_reason(text: bytes, detail: str) -> None:
    problem = problem_of(text, "a")
    assert (problem.status, problem.kind, problem.detail) == (400, "malformed-json", detail)


@pytest.mark.parametrize("text", SURROGATES)
def test_a_form_field_has_no_half_of_a_surrogate_pair_either(text: bytes) -> None:
    with pytest.raises(Problem, match=HALF) as raised:
        parse_object("options", text.decode())
    assert raised.value.status == 422


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert parse_document(b'{"a": "\\ud83d\\ude00"}', "a") == {"a": "😀"}


def test_a_body_that_is_no_object_is_rejected() -> None:
    problem = problem_of(b"[1]", "a")
    assert (problem.status, problem.kind) == (422, "bad-value")
    assert problem.detail == "body is [1]; it must be a JSON object"


def test_an_unknown_member_is_named_with_the_allowed_ones() -> None:
    problem = problem_of(b'{"a": 1, "modle": 2}', "a", "model")
    assert (problem.status, problem.kind) == (422, "unknown-member")
    assert problem.detail == "'modle' is not one of: a, model"
    assert problem.extensions == {"member": "modle"}


def test_a_long_unknown_member_is_shortened() -> None:
    problem = problem_of(json.dumps({"x" * 1000: 1}).encode(), "a")
    assert len(problem.detail) < 120
    assert problem.extensions == {"member": "x" * 80}


@pytest.mark.parametrize(
    ("value", "description"),
    [
        (None, "missing"),
        ("", "''"),
        ("ä", "'ä'"),
        (5, "5"),
        (True, "true"),
        (["drums", 1], '["drums", 1]'),
        ({"secret": "x"}, "an object"),
        ("x" * 500, "'" + "x" * 80 + "…'"),
        (["x" * 500], '["' + "x" * 78 + "…"),
    ],
)
def test_a_value_is_described_shortly(value: object, description: str) -> None:
    assert describe(value) == description


def test_a_bad_value_names_the_member_the_value_and_what_is_accepted() -> None:
    body = bad_value("limit", 0, "a whole number from 1 to 500").body()
    assert body == {
        "type": "urn:micro-demucs:problem:bad-value",
        "title": "A value is not accepted",
        "status": 422,
        "detail": "limit is 0; it must be a whole number from 1 to 500",
        "member": "limit",
        "accepts": "a whole number from 1 to 500",
    }


def test_a_hidden_value_is_only_named() -> None:
    assert bad_hidden_value("secret", "base64").detail == "secret must be base64"


def test_a_hidden_value_may_have_a_reason() -> None:
    problem = bad_hidden_value("url", "an https:// URL", "it has no host")
    assert problem.detail == "url must be an https:// URL: it has no host"
    assert problem.extensions["accepts"] == "an https:// URL"


@pytest.mark.parametrize("content_type", ["application/json", "application/vnd.x+json"])
def test_a_body_declared_as_json_is_read(content_type: str) -> None:
    with app.test_request_context(method="POST", data=b'{"a": 1}', content_type=content_type):
        assert read_document("a") == {"a": 1}


@pytest.mark.parametrize(
    ("content_type", "description"), [(None, "missing"), ("text/plain", "'text/plain'")]
)
def test_a_body_not_declared_as_json_is_rejected(
    content_type: str | None, description: str
) -> None:
    request = app.test_request_context(method="POST", data=b"{}", content_type=content_type)
    with request, pytest.raises(Problem) as raised:
        require_json()
    assert (raised.value.status, raised.value.kind) == (415, "not-json")
    assert raised.value.detail == f"Content-Type is {description}; send application/json"
