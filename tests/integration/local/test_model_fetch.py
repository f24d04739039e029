"""`make run` fetches the model beside something else, and shows the progress."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.model_fetch import ModelFetch
from testing.hub_server import Hub, hub_server
from testing.waiting import wait_until

WEIGHTS = "955717e8.safetensors"
FILES = {"htdemucs.yaml": b"models: ['955717e8']", WEIGHTS: bytes(3_000_000)}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_server() as hub:
        hub.add("adefossez/HTDemucs", FILES)
        yield hub


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the download: the hub, and folders of the test's own."""
    for name in ("MODEL", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HF_HOME", "MODELS_DIR", "MODELS_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "60")  # other tests may take all cores


def fetch() -> None:
    with ModelFetch(Path(sys.executable)) as model:
        model.finish()


def downloaded(folder: Path) -> list[Path]:
    return list(folder.glob(f"MODELS_CACHE/fetched/*/htdemucs/{WEIGHTS}"))


def test_a_download_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetch()
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("fetching the model ")
    assert line.endswith(" s done")
    assert len(downloaded(tmp_path)) == 1


def test_what_is_there_is_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    fetch()
    capsys.readouterr()
    fetch()
    assert capsys.readouterr().out == ""


def test_the_progress_is_shown_beside_that_of_something_else(hub: Hub) -> None:
    hub.cut[WEIGHTS] = [1_500_000, *[0] * 99]
    with ModelFetch(Path(sys.executable)) as model:
        wait_until(lambda: model.note == "(the model: 50%)", 60, "half of the model is there")


def test_an_interrupted_download_goes_on(hub: Hub, tmp_path: Path) -> None:
    hub.cut[WEIGHTS] = [1_500_000, *[0] * 99]
    with ModelFetch(Path(sys.executable)) as model:
        wait_until(lambda: len(hub.downloads()) > 1, 60, "the download was cut")
        assert model.note
    assert downloaded(tmp_path) == []
    hub.cut.clear()
    hub.requests.clear()
    fetch()
    assert hub.downloads() == [(WEIGHTS, "bytes=1500000-")]
    assert len(downloaded(tmp_path)) == 1


def test_without_a_hub_a_line_says_that_the_bundled_model_is_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    fetch()
    assert capsys.readouterr().out == (
        "htdemucs cannot be fetched: HF_HUB_OFFLINE is set. The small htdemucs_tiny is used; "
        "`make models MODEL=htdemucs` gets the full one\n"
    )


def test_a_damaged_download_is_a_line_after_its_bar(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.sent[WEIGHTS] = bytes(2_999_999) + b"!"
    fetch()
    bar, line = capsys.readouterr().out.splitlines()
    assert bar.endswith(" s stopped")
    assert line.startswith(f"htdemucs cannot be fetched: {WEIGHTS} arrived damaged")


def test_without_the_model_that_was_named_nothing_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("MODEL", "htdemucs_ft")
    with pytest.raises(SystemExit, match="htdemucs_ft cannot be fetched: HF_HUB_OFFLINE is set"):
        fetch()
