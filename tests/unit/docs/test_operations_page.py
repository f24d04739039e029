"""docs/operations.md lists every setting and no other, with its default and its components.

The log events that it explains exist.
"""

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import NamedTuple

import pytest

from microdemucs.paths import ROOT
from microdemucs.settings import BadSetting, Declaration, declarations
from tests.unit.component_settings import SETTINGS

PAGE = (ROOT / "docs" / "operations.md").read_text()
CODE = "".join(
    path.read_text()
    for folder in ("functions", "microdemucs", "minio-events")
    for path in (ROOT / folder).rglob("*.py")
)
LIBRARY_VARIABLES = {
    *("OMP_NUM_THREADS", "TMPDIR", "HTTPS_PROXY"),
    *("HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_ETAG_TIMEOUT", "HF_HOME"),
}
"""Variables that are listed, but that libraries read."""

STACK_VARIABLES = {
    *("UPLOAD_PORT", "SEPARATE_PORT", "NOTIFY_PORT", "STORE_PORT", "NATS_PORT"),
    *("MICRO_DEMUCS_CACHE", "MICRO_DEMUCS_STATE"),
}
"""Variables that are listed, but that only the stack on one machine reads."""


class Row(NamedTuple):
    """One row of a table of settings. `components` is sorted."""

    default: str
    components: list[str]
    meaning: str


def rows() -> dict[str, Row]:
    """The rows of all tables of settings that name components."""
    found = {}
    for name, default, readers, meaning in re.findall(
        r"^\| `([A-Z_0-9]+)` \| ([^|]*?) ?\| ([^|]*) \| (.*) \|$", PAGE, re.MULTILINE
    ):
        components = list(SETTINGS) if readers == "all" else readers.split(", ")
        assert name not in found, f"{name} is listed twice"
        found[name] = Row(default, sorted(components), meaning)
    return found


def declared() -> dict[str, tuple[Declaration, list[str]]]:
    """Each setting's declaration and the components that have it, by its name."""
    found: dict[str, tuple[Declaration, list[str]]] = {}
    for component, settings in SETTINGS.items():
        for declaration in declarations(settings):
            known, components = found.setdefault(declaration.name, (declaration, []))
            assert (known.default, known.fallback) == (declaration.default, declaration.fallback)
            components.append(component)
    return found


def required_settings(settings: type) -> Iterator[str]:
    """The settings of a dataclass that cannot be read from an empty environment."""
    for field in fields(settings):
        declaration = field.metadata.get("declaration")
        if declaration is None and isinstance(field.default_factory, type):
            yield from required_settings(field.default_factory)
        elif declaration and callable(field.default_factory):
            try:
                field.default_factory()
            except BadSetting:
                yield declaration.name


ROWS = rows()
DECLARED = declared()


@pytest.mark.parametrize("name", DECLARED)
def test_every_setting_is_listed_with_a_meaning(name: str) -> None:
    assert name in ROWS
    assert ROWS[name].meaning.endswith(".")


def test_nothing_else_is_listed() -> None:
    assert set(ROWS) - set(DECLARED) == LIBRARY_VARIABLES


@pytest.mark.parametrize("name", DECLARED)
def test_a_setting_is_listed_with_the_components_that_read_it(name: str) -> None:
    _, components = DECLARED[name]
    assert ROWS[name].components == sorted(components)


@pytest.mark.parametrize("name", DECLARED)
def test_a_setting_is_listed_with_its_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in DECLARED:
        monkeypatch.delenv(variable, raising=False)
    declaration, components = DECLARED[name]
    if any(name in required_settings(SETTINGS[component]) for component in components):
        expected = "*required*"
    else:
        default = declaration.fallback or declaration.default
        expected = f"`{default}`" if default else ""
    assert ROWS[name].default == expected


def test_the_default_of_a_fallback_is_that_of_the_setting_it_falls_back_to() -> None:
    """So the page need not say it again."""
    for declaration, _ in DECLARED.values():
        if declaration.fallback in DECLARED:
            fallback, _ = DECLARED[declaration.fallback]
            assert declaration.default == fallback.default, declaration.name


def test_the_variables_of_the_stack_are_listed() -> None:
    [section] = re.findall(
        r"### Variables of the stack on one machine\n(.*?)\n## ", PAGE, re.DOTALL
    )
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == STACK_VARIABLES


@pytest.mark.parametrize(
    "name", sorted(LIBRARY_VARIABLES - {"OMP_NUM_THREADS", "TMPDIR"} | STACK_VARIABLES)
)
def test_other_variables_are_mentioned_in_the_code(name: str) -> None:
    local = "".join(path.read_text() for path in (ROOT / "local").glob("*.py"))
    assert name in CODE + local


LOG_EVENTS = re.findall(r"^\| `([a-z ]+)` \| (info|warning|error) \|", PAGE, re.MULTILINE)


def test_there_are_log_events() -> None:
    assert len(LOG_EVENTS) > 10


@pytest.mark.parametrize(("event", "level"), LOG_EVENTS)
def test_a_log_event_is_logged_at_its_level(event: str, level: str) -> None:
    methods = "error|exception" if level == "error" else level
    assert re.search(rf'log\.({methods})\(\s*"{event}\b', CODE)
