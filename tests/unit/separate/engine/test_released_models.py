"""The table of released models is the one that the installed demucs has."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from functions.separate.engine.released_models import MODELS, OLDER_SERVER, PICKLES, repository


@pytest.fixture(scope="module")
def remote() -> Path:
    """demucs' own tables. Finding the package does not import it."""
    package = find_spec("demucs")
    if not package or not package.origin:
        pytest.skip("demucs is not installed")
    return Path(package.origin).parent / "remote"


def test_the_names_are_those_of_demucs(remote: Path) -> None:
    assert set(MODELS) == {path.stem for path in remote.glob("*.yaml")}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_described_as_by_demucs(remote: Path, name: str) -> None:
    expected = yaml.safe_load((remote / f"{name}.yaml").read_text())
    assert yaml.safe_load(MODELS[name].description) == expected


def test_the_pickles_are_those_of_demucs(remote: Path) -> None:
    folder, paths = "", []
    for line in (remote / "files.txt").read_text().splitlines():
        if line.startswith("root:"):
            folder = line.removeprefix("root:").strip()
        elif line.endswith(".th"):
            paths.append(folder + line)
    assert sorted(PICKLES.values()) == sorted(paths)


def test_the_older_server_is_the_one_of_demucs(remote: Path) -> None:
    assert f'ROOT_URL = "{OLDER_SERVER}/"' in (remote.parent / "pretrained.py").read_text()


def test_each_network_belongs_to_a_model() -> None:
    assert {name for model in MODELS.values() for name in model.networks} == set(PICKLES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("htdemucs", "HTDemucs"),
        ("htdemucs_6s", "HTDemucs-6s"),
        ("mdx_extra_q", "Demucs-mdx_extra_q"),
        ("75fc33f5", "Demucs-hdemucs_mmi"),
        ("mine", "Demucs-mine"),
    ],
)
def test_a_model_has_a_repository(name: str, expected: str) -> None:
    assert repository(name) == expected
