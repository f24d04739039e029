"""Identifiers use the words of docs/glossary.md, not the private ones they replaced."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from microdemucs.paths import ROOT

FOLDERS = ("functions", "microdemucs", "minio-events", "local", "testing")
FORBIDDEN = {
    *("told", "said", "heard", "furnish", "life", "shelf", "lane", "letters", "marks"),
    *("news", "doomed"),
}
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def identifiers(node: ast.AST) -> Iterator[str]:
    """Yield every name that a module defines, binds or uses."""
    for child in ast.walk(node):
        match child:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
                yield name
            case ast.keyword(arg=str(name)) | ast.alias(asname=str(name)):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name):
                yield name


def words(identifier: str) -> set[str]:
    """Return the words of a snake_case or CamelCase identifier, in lower case."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier)
    return set(spaced.lower().replace("dead_letters", "").split("_"))


def forbidden(source: str) -> set[str]:
    return {name for name in identifiers(ast.parse(source)) if words(name) & FORBIDDEN}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_uses_no_forbidden_word(module: Path) -> None:
    assert forbidden(module.read_text()) == set()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_named_with_a_forbidden_word(module: Path) -> None:
    assert not words(module.stem) & FORBIDDEN


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("told = 1", {"told"}),
        ("def f(_said): pass", {"_said"}),
        ("class LastNews: pass", {"LastNews"}),
        ("x.was_heard", {"was_heard"}),
        ("f(letters=1)", {"letters"}),
        ("dead_letters = DeadLetters()", set()),
        ("unmarked = lifetime", set()),
        ("'he told us'  # said", set()),
    ],
)
def test_a_forbidden_word_is_found_in_any_kind_of_name(source: str, names: set[str]) -> None:
    assert forbidden(source) == names
