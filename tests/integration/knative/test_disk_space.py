"""The volumes of the manifests hold what the code may write to them."""

import re

import pytest
import yaml

import functions.separate.settings
import functions.upload.settings
from microdemucs.paths import ROOT
from testing.disk_need import MAX_STEMS, disk_need

GIB = 2**30
MODELS = 3 * GIB
"""What models that are fetched or compiled may take: htdemucs_ft has four networks."""


def volume_bytes(function: str) -> int:
    """Return the size of the volume at /tmp in the manifest of a function."""
    manifest = yaml.safe_load((ROOT / "knative" / "base" / f"{function}.yaml").read_text())
    [volume] = manifest["spec"]["template"]["spec"]["volumes"]
    size = re.fullmatch(r"(\d+)Gi", volume["emptyDir"]["sizeLimit"])
    assert size
    return int(size[1]) * GIB


@pytest.fixture(autouse=True)
def deployed_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of the base, and no others of this machine."""
    for name in ("MAX_SONG_BYTES", "MAX_SONG_SECONDS", "UPLOAD_SPACE_BYTES"):
        monkeypatch.delenv(name, raising=False)
    settings = yaml.safe_load((ROOT / "knative" / "base" / "settings.yaml").read_text())
    for name, value in settings["data"].items():
        monkeypatch.setenv(name, value)


def test_the_longest_song_with_the_most_stems_fits_into_a_pod_of_separate() -> None:
    settings = functions.separate.settings.Settings()
    need = disk_need(settings.max_bytes, settings.max_seconds + 0.25, MAX_STEMS)
    assert need + MODELS <= volume_bytes("separate")


def test_all_songs_that_arrive_at_once_fit_into_a_pod_of_upload() -> None:
    settings = functions.upload.settings.Settings()
    assert settings.upload_space + GIB // 4 <= volume_bytes("upload")


def test_the_largest_song_fits_into_the_space_for_songs_that_arrive() -> None:
    settings = functions.upload.settings.Settings()
    assert settings.max_bytes <= settings.upload_space


@pytest.mark.parametrize("kind", ["overlays", "components"])
def test_no_overlay_makes_a_volume_smaller(kind: str) -> None:
    for path in (ROOT / "knative" / kind).rglob("*.yaml"):
        if path.stem in ("separate", "upload"):
            assert "sizeLimit" not in path.read_text()
