"""The images that `make images SBOM=1` has written: what is in them, and what is not."""

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
LARGEST_MB = {"separate": 700, "upload": 250, "notify": 250, "minio-events": 250}
each_image = pytest.mark.parametrize("target", images.TARGETS)


@cache
def image(target: str) -> archive.Image:
    """Read once: it takes seconds."""
    return archive.read(FOLDER / f"{target}.tar")


def packages(target: str, kind: str = "pypi") -> dict[str, str]:
    """The versions of the packages that the SBOM tells of, by name."""
    bill: dict[str, Any] = json.loads((FOLDER / f"{target}.cdx.json").read_text())
    return {
        one["name"].lower().replace("_", "-"): one["version"]
        for one in bill["components"]
        if one.get("purl", "").startswith(f"pkg:{kind}/")
    }


def locked(target: str) -> dict[str, str]:
    """What its packages are pinned to."""
    lock = "separate" if target == "separate" else "web"
    text = (ROOT / f"requirements/{lock}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", text, re.M))


@each_image
def test_no_image_is_larger_than_it_may_be(target):
    assert image(target).size < LARGEST_MB[target] * 1e6


@each_image
def test_the_user_is_a_number_that_is_not_root(target):
    assert image(target).config["User"] == "65532:65532"  # a name could not be checked


@each_image
def test_nothing_in_it_belongs_to_the_user_or_can_be_written_by_all(target):
    files = {n: f for n, f in image(target).files.items() if f.isfile() or f.isdir()}
    assert [name for name, file in files.items() if file.uid == 65532] == []
    for_all = [name for name, file in files.items() if file.mode & 0o002]
    assert [name for name in for_all if not files[name].mode & 0o1000] == []  # as /tmp is


@each_image
def test_no_program_in_it_makes_another_user_of_who_starts_it(target):
    files = image(target).files
    assert [n for n, file in files.items() if file.isfile() and file.mode & 0o6000] == []


@each_image
def test_the_labels_say_what_it_is_and_from_which_sources(target):
    labels = image(target).config["Labels"]
    said = {name.removeprefix("org.opencontainers.image."): v for name, v in labels.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert said["title"] == f"micro-demucs-{target}"
    assert said["description"]
    assert said["version"] == project["version"]
    assert said["licenses"] == project["license"]
    assert said["source"].startswith("https://")
    assert re.fullmatch("[0-9a-f]{40}", said["revision"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", said["created"])
    assert "python" in said["base.name"]


@each_image
def test_the_packages_are_the_locked_ones(target):
    assert packages(target).items() <= locked(target).items()
    assert {"functions-framework", "nats-py", "minio"} <= packages(target).keys()


@each_image
def test_the_sbom_tells_of_the_system_and_is_dated_as_the_image_is(target):
    assert "libc6" in packages(target, "deb")
    bill = json.loads((FOLDER / f"{target}.cdx.json").read_text())
    labels = image(target).config["Labels"]
    assert bill["metadata"]["timestamp"] == labels["org.opencontainers.image.created"]


@each_image
def test_nothing_in_it_installs_packages(target):
    files = image(target).files
    assert [f for f in files if re.search(r"bin/(apt|pip|perl|gcc)[^/]*$", f)] == []


def test_songs_are_separated_on_a_cpu_without_torch():
    assert "openvino" in packages("separate")
    assert not {"torch", "demucs"} & packages("separate").keys()
    assert [f for f in image("separate").files if "/torch/" in f] == []


def test_the_bundled_model_is_there_as_openvino_runs_it_and_compiled():
    files = image("separate").files
    assert "app/models/htdemucs_tiny/network-0-encoding.bin" in files
    assert [f for f in files if f.startswith("app/models/htdemucs_tiny/compiled/")]


@each_image
def test_its_modules_are_compiled_beforehand(target):
    ours = [
        f for f in image(target).files if re.match("app/(functions|microdemucs|minio_events)", f)
    ]
    sources = {Path(f).with_suffix("") for f in ours if f.endswith(".py")}
    compiled = {
        Path(f).parent.parent / Path(f).name.split(".")[0] for f in ours if f.endswith(".pyc")
    }
    assert sources
    assert sources == compiled
