"""The lock files in requirements/."""

import re

import pytest

from local.lock import LOCKS
from microdemucs.paths import ROOT


def lines(name: str) -> list[str]:
    return (ROOT / f"requirements/{name}.txt").read_text().splitlines()


def pinned(name: str) -> set[str]:
    """Return `name==version ; marker` of each package."""
    return {line.rstrip(" \\") for line in lines(name) if "==" in line and line[0] != " "}


def test_each_kind_of_setup_contains_the_one_before_it_in_the_same_versions() -> None:
    assert pinned("run") < pinned("torch") < pinned("test") < pinned("bench")


@pytest.mark.parametrize("name", ["run", "separate", "web"])
def test_running_without_a_gpu_needs_no_torch(name: str) -> None:
    packages = {line.split("==")[0] for line in pinned(name)}
    assert not packages & {"torch", "demucs", "triton"}
    assert not [package for package in packages if package.startswith("nvidia")]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_contains_versions_and_hashes_only(name: str) -> None:
    version = re.compile(r"[a-z0-9-]+==[^ ]+( ; [^;]+)?( \\)?")
    hash_ = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert [x for x in lines(name) if not version.fullmatch(x) and not hash_.fullmatch(x)] == []
