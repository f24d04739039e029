"""The version is stated twice: for the packages, and for what runs without them."""

import tomllib

import microdemucs
from microdemucs.paths import ROOT


def test_the_program_has_the_version_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert microdemucs.__version__ == project["version"]
