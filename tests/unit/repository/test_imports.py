"""Dependencies point one way, as ARCHITECTURE.md says."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from microdemucs.paths import ROOT

COMPONENTS = {
    "functions/separate": "functions.separate",
    "functions/upload": "functions.upload",
    "functions/notify": "functions.notify",
    "minio-events/minio_events": "minio_events",
    "microdemucs": "microdemucs",
}
OURS = ("functions", "minio_events", "microdemucs", "local", "testing", "tests", "benchmarks")
ENGINES = {"torch", "demucs", "openvino"}


def imports(file: Path) -> Iterator[str]:
    """The modules that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield node.module or ""


def importing(folder: str, unwanted: set[str]) -> list[str]:
    """`file: module` for each unwanted import below `folder`."""
    return [
        f"{file.relative_to(ROOT)}: {module}"
        for file in sorted((ROOT / folder).rglob("*.py"))
        for module in imports(file)
        if any(module == name or module.startswith(f"{name}.") for name in unwanted)
    ]


@pytest.mark.parametrize("folder", COMPONENTS)
def test_a_component_imports_only_itself_and_microdemucs(folder: str) -> None:
    packages = {*COMPONENTS.values(), *OURS} - {"functions", "microdemucs", COMPONENTS[folder]}
    assert importing(folder, packages) == []


@pytest.mark.parametrize("folder", COMPONENTS)
def test_only_the_engine_package_knows_torch_and_openvino(folder: str) -> None:
    found = importing(folder, ENGINES)
    assert [line for line in found if not line.startswith("functions/separate/engine/")] == []


def test_the_engine_package_does_not_know_jobs_store_or_bus() -> None:
    above = {"job", "job_runner", "range_runner", "context", "output", "ranges", "lease"}
    above |= {"settings", "audio"}
    unwanted = {f"functions.separate.{name}" for name in above} | {"microdemucs.bus"}
    assert importing("functions/separate/engine", unwanted) == []


@pytest.mark.parametrize(
    ("folder", "unwanted"),
    [
        ("benchmarks", {"tests"}),
        ("testing", {"tests", "benchmarks"}),
        ("local", {"tests", "testing", "benchmarks"}),
    ],
)
def test_only_tests_import_tests(folder: str, unwanted: set[str]) -> None:
    assert importing(folder, unwanted) == []
