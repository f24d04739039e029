import ast
import sys
from pathlib import Path

import pytest

from local import binaries, setup
from microdemucs.paths import ROOT


def test_an_unknown_kind_is_named_with_the_known_ones() -> None:
    with pytest.raises(
        setup.CannotSetUp, match="unknown kind 'all': use one of run, models, torch, test"
    ):
        setup.set_up("all")


def test_programs_of_the_tests_are_built_for_tests_only() -> None:
    programs = {kind: {module.name for module in setup.PROGRAMS[kind]} for kind in setup.PROGRAMS}
    assert programs["test"] - programs["run"] == {"kustomize", "kubeconform"}
    assert programs["run"] == programs["bench"] == {"minio", "mc"}


@pytest.mark.parametrize(
    "name", ["setup", "binaries", "model_fetch", "progress_bar", "images", "sbom"]
)
def test_setting_up_needs_only_the_standard_library(name: str) -> None:
    imported = set()
    for node in ast.walk(ast.parse((Path(setup.__file__).parent / f"{name}.py").read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    others = {module for module in imported if module.split(".")[0] not in sys.stdlib_module_names}
    assert {module for module in others if module.split(".")[0] != "local"} <= {"microdemucs.paths"}


def test_the_image_of_minio_has_the_version_that_is_built_here() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"ARG MINIO={binaries.MINIO.version}\n" in dockerfile
