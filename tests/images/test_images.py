"""The content of the images that `make images SBOM=1` wrote."""

import json
import os
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from local import images
from microdemucs.paths import ROOT
from tests.images import archive

FOLDER = ROOT / (os.environ.get("ARCHIVES") or images.ARCHIVES)
LARGEST_MB = {"separate": 700, "upload": 350, "notify": 250, "minio-events": 250}
each_image = pytest.mark.parametrize("target", images.TARGETS)


@cache
def image(target: str) -> archive.Image:
    """Return the image of a target; reading takes seconds, so it is cached."""
    return archive.read(FOLDER / f"{target}.tar")


def packages(target: str, kind: str = "pypi") -> dict[str, str]:
    """Return the versions of the packages in the SBOM, by name."""
    sbom: dict[str, Any] = json.loads((FOLDER / f"{target}.cdx.json").read_text())
    return {
        package["name"].lower().replace("_", "-"): package["version"]
        for package in sbom["components"]
        if package.get("purl", "").startswith(f"pkg:{kind}/")
    }


def locked(target: str) -> dict[str, str]:
    """Return the locked versions of a target's packages, by name."""
    lock = target if target in ("separate", "upload") else "web"
    text = (ROOT / f"requirements/{lock}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", text, re.M))


@each_image
def test_an_image_is_smaller_than_its_limit(target: str) -> None:
    assert image(target).size < LARGEST_MB[target] * 1e6


@each_image
def test_the_user_is_a_number_that_is_not_root(target: str) -> None:
    assert image(target).config["User"] == "65532:65532"  # Kubernetes cannot check a name


@each_image
def test_no_file_belongs_to_the_user_or_is_writable_for_all(target: str) -> None:
    files = {n: f for n, f in image(target).files.items() if f.isfile() or f.isdir()}
    assert [name for name, file in files.items() if file.uid == 65532] == []
    for_all = [name for name, file in files.items() if file.mode & 0o002]
    assert [name for name in for_all if not files[name].mode & 0o1000] == []  # as /tmp is


@each_image
def test_no_program_is_setuid_or_setgid(target: str) -> None:
    files = image(target).files
    assert [n for n, file in files.items() if file.isfile() and file.mode & 0o6000] == []


@each_image
def test_the_labels_name_the_image_and_its_sources(target: str) -> None:
    labels = image(target).config["Labels"]
    values = {name.removeprefix("org.opencontainers.image."): v for name, v in labels.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert values["title"] == f"micro-demucs-{target}"
    assert values["description"]
    assert values["version"] == project["version"]
    assert values["licenses"] == project["license"]
    assert values["source"].startswith("https://")
    assert re.fullmatch("[0-9a-f]{40}", values["revision"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", values["created"])
    assert "python" in values["base.name"]


@each_image
def test_the_packages_have_the_locked_versions(target: str) -> None:
    assert packages(target).items() <= locked(target).items()
    assert {"functions-framework", "nats-py", "minio"} <= packages(target).keys()


@each_image
def test_the_sbom_lists_system_packages_and_has_the_date_of_the_image(target: str) -> None:
    assert "libc6" in packages(target, "deb")
    sbom = json.loads((FOLDER / f"{target}.cdx.json").read_text())
    labels = image(target).config["Labels"]
    assert sbom["metadata"]["timestamp"] == labels["org.opencontainers.image.created"]


@each_image
def test_no_program_installs_packages(target: str) -> None:
    files = image(target).files
    assert [f for f in files if re.search(r"bin/(apt|pip|perl|gcc)[^/]*$", f)] == []


def test_separate_runs_on_openvino_without_torch() -> None:
    assert "openvino" in packages("separate")
    assert not {"torch", "demucs"} & packages("separate").keys()
    assert [f for f in image("separate").files if "/torch/" in f] == []


def test_the_bundled_model_is_prepared() -> None:
    files = image("separate").files
    compiled = [f for f in files if f.startswith("app/models/htdemucs_tiny/compiled/")]
    assert len([f for f in compiled if f.endswith(".blob")]) == 2
    assert len([f for f in compiled if f.endswith("/prepared.json")]) == 1


@each_image
def test_all_modules_are_compiled_to_bytecode(target: str) -> None:
    modules = [
        f for f in image(target).files if re.match("app/(functions|microdemucs|minio_events)", f)
    ]
    sources = {Path(f).with_suffix("") for f in modules if f.endswith(".py")}
    compiled = {
        Path(f).parent.parent / Path(f).name.split(".")[0] for f in modules if f.endswith(".pyc")
    }
    assert sources
    assert sources == compiled
