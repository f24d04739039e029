"""docs/http.md and the code agree: kinds of problems, routes, options, members and examples."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from functions.upload.app import create_app
from functions.upload.webhooks import EVENT_TYPES
from microdemucs.jobs import PHASES, JobRecord, JobState
from microdemucs.options import BITRATES, CLIP_MODES, FORMATS, Options
from microdemucs.paths import ROOT

PAGE = (ROOT / "docs" / "http.md").read_text()
OPENAPI = json.loads((ROOT / "functions" / "upload" / "openapi.json").read_text())
EXAMPLES = {
    name: json.loads(text) for name, text in re.findall(r"```json (\w+)\n(.*?)```", PAGE, re.DOTALL)
}
KIND = re.compile(r"[a-z]+(-[a-z0-9]+)*")


def raised() -> Iterator[tuple[str, int | None]]:
    """Every kind of problem in the sources, and its status unless that is computed."""
    for folder in ("functions", "microdemucs"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    yield from _raised_by(node)


def _raised_by(call: ast.Call) -> Iterator[tuple[str, int | None]]:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    constants = [arg.value if isinstance(arg, ast.Constant) else None for arg in call.args]
    texts = [value for value in constants if isinstance(value, str)]
    if not texts or not KIND.fullmatch(texts[0]):
        return
    if name == "Problem":
        yield texts[0], constants[0] if isinstance(constants[0], int) else None
    elif name in ("Rejected", "_Rejected", "__init__"):
        yield texts[0], 422
    elif name == "RetryLater":
        is_busy = any(keyword.arg == "busy" for keyword in call.keywords)
        yield texts[0], 429 if is_busy else 503


def section(heading: str) -> str:
    """The text of one section, without its subsections' siblings."""
    level, text = re.findall(rf"^(#+) {re.escape(heading)}\n(.*)", PAGE, re.MULTILINE | re.DOTALL)[
        0
    ]
    return str(re.split(rf"^#{{1,{len(level)}}} ", text, maxsplit=1, flags=re.MULTILINE)[0])


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows."""
    lines = re.findall(r"^\| (.*) \|$", text, re.MULTILINE)
    return [[cell.strip() for cell in re.split(r" \| ?", line)] for line in lines]


def in_code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def documented() -> set[tuple[str, int]]:
    """Every kind of problem in the tables of errors, with each of its statuses; none means 422."""
    found = set()
    for cells in rows(section("Errors")):
        statuses = [int(status) for status in re.findall(r"\b\d{3}\b", cells[1])] or [422]
        found |= {(kind, status) for kind in in_code(cells[0]) for status in statuses}
    return found


def test_every_problem_is_listed_with_its_status() -> None:
    kinds = {kind for kind, _ in documented()}
    assert {
        (kind, status)
        for kind, status in raised()
        if (status is None and kind not in kinds)
        or (status is not None and (kind, status) not in documented())
    } == set()


def test_every_listed_problem_is_raised() -> None:
    assert {kind for kind, _ in documented()} - {kind for kind, _ in raised()} == set()


def test_the_table_of_routes_is_complete() -> None:
    listed = {
        (method, re.sub(r"<\w+>", "<>", path))
        for methods, path in re.findall(r"`([A-Z, `]+) (/\S*?)`", section("All routes"))
        for method in re.findall("[A-Z]+", methods)
    }
    served = {
        (method, re.sub(r"<\w+>", "<>", rule.rule))
        for rule in create_app().url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static"
    }
    assert listed == served


def test_the_options_are_those_of_the_code_with_their_defaults() -> None:
    table = {in_code(cells[0])[0]: cells for cells in rows(section("Options")) if in_code(cells[0])}
    default = Options()
    assert set(table) == set(Options.__slots__)
    for name in ("format", "bits", "bitrate", "shifts", "overlap", "clip_mode", "channels"):
        assert table[name][2].strip("`") == str(getattr(default, name))
    assert in_code(table["format"][1]) == list(FORMATS)
    assert in_code(table["clip_mode"][1]) == list(CLIP_MODES)
    assert re.findall(r"\b\d+\b", table["bitrate"][1]) == [str(bitrate) for bitrate in BITRATES]


def test_every_member_state_and_phase_of_a_job_is_described() -> None:
    table = {name: cells[1] for cells in rows(section("Get a job")) for name in in_code(cells[0])}
    assert set(table) == set(JobRecord.__struct_fields__) | {
        "hash",
        "links",
        "position",
        "seconds_left",
    }
    assert in_code(table["state"]) == list(JobState)
    assert in_code(table["phase"]) == list(PHASES)


def test_the_event_types_of_webhooks_are_those_of_the_code() -> None:
    [cell] = [cells[1] for cells in rows(section("Register a webhook")) if "`events`" in cells[0]]
    first, *others = in_code(cell)
    prefix = first.rpartition(".")[0]
    assert [first, *(prefix + other for other in others)] == EVENT_TYPES


def answer(path: str, method: str, status: str) -> dict[str, Any]:
    """The schema of a response in openapi.json."""
    response = OPENAPI["paths"][path][method]["responses"][status]
    schema: dict[str, Any] = response["content"]["application/json"]["schema"]
    return schema


def named(schema: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{schema}"}


@pytest.mark.parametrize(
    ("example", "schema"),
    [
        ("separate", answer("/apiv1/separate", "post", "200")),
        ("upload", answer("/apiv1/uploads", "post", "201")),
        ("models", answer("/apiv1/models", "get", "200")),
        ("job", answer("/apiv1/jobs/{id}", "get", "200")),
        ("cancel", answer("/apiv1/jobs/{id}", "delete", "202")),
        ("removed", answer("/apiv1/jobs/{id}", "delete", "200")),
        ("retry", answer("/apiv1/jobs/{id}/retry", "post", "202")),
        ("share", answer("/apiv1/jobs/{id}/share", "post", "201")),
        ("remove", answer("/apiv1/remove/{hash}/{track}", "delete", "200")),
        ("webhook", answer("/apiv1/webhooks", "post", "201")),
        ("attempts", answer("/apiv1/webhooks/{id}/attempts", "get", "200")),
        ("service", named("Service")),
        ("health", named("Health")),
        ("dead_letters", answer("/apiv1/admin/dead-letters", "get", "200")),
        ("problem", named("Problem")),
    ],
)
def test_an_example_matches_the_schema_of_its_response(
    example: str, schema: dict[str, Any]
) -> None:
    validator = Draft202012Validator(schema | {"components": OPENAPI["components"]})
    assert [error.message for error in validator.iter_errors(EXAMPLES[example])] == []


def test_every_example_is_checked() -> None:
    assert len(EXAMPLES) == 15
    assert len(re.findall("```json", PAGE)) == len(EXAMPLES)
