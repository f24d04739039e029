"""docs/http.md is complete: every problem that is raised and every route is in it."""

import ast
import re
from collections.abc import Iterator

from functions.upload.app import create_app
from microdemucs.paths import ROOT

DOCS = (ROOT / "docs" / "http.md").read_text()
RAISERS = {"Problem", "Rejected", "RetryLater", "_Refused", "__init__"}
KIND = re.compile(r"[a-z]+(-[a-z0-9]+)*")


def kinds() -> Iterator[str]:
    """The kind of every problem that the sources name."""
    for folder in ("functions", "microdemucs"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                    texts = [
                        one.value
                        for one in node.args
                        if isinstance(one, ast.Constant) and isinstance(one.value, str)
                    ]
                    if name in RAISERS and texts and KIND.fullmatch(texts[0]):
                        yield texts[0]


def test_every_kind_of_problem_is_listed():
    named = {word for row in re.findall(r"^\| (`.*?`) \|", DOCS, re.M) for word in row.split("`")}
    assert set(kinds()) - named == set()


def test_every_route_is_listed():
    listed = re.findall(r"`([A-Z, `]+) (/\S*?)`", DOCS)
    there = {
        (method, re.sub(r"<\w+>", "<>", path))
        for methods, path in listed
        for method in re.findall("[A-Z]+", methods)
    }
    served = {
        (method, re.sub(r"<\w+>", "<>", rule.rule))
        for rule in create_app().url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static"
    }
    assert served - there == set()
