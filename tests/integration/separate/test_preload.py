"""The model that a process loads before it has imported the rest of itself."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.separate import preload
from functions.separate.engine.locate import BUNDLED
from microdemucs.options import BadOption
from microdemucs.paths import ROOT


@pytest.fixture(autouse=True)
def new_process() -> Iterator[None]:
    """As in a new process, no model is loaded."""
    preload.registry.cache_clear()
    yield
    preload.registry.cache_clear()


def test_the_model_is_loaded_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MODEL", BUNDLED)
    with caplog.at_level(logging.INFO):
        preload.start()
        models = preload.registry()
        model = models.load(models.choose(BUNDLED))
    assert model.name == BUNDLED
    assert [line.message for line in caplog.records].count("model loaded") == 1


def test_a_model_that_cannot_be_loaded_is_reported_when_it_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODEL", str(tmp_path / "none.th"))
    preload.start()
    models = preload.registry()
    with pytest.raises(BadOption, match="none"):
        models.load(models.choose(""))


def test_the_bucket_of_models_is_the_one_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    preload.open_models_bucket.cache_clear()
    monkeypatch.setenv("MODELS_BUCKET", "my-models")
    assert preload.open_models_bucket().name == "my-models"
    preload.open_models_bucket.cache_clear()


def test_no_client_of_store_or_web_is_imported_before_the_model() -> None:
    # measuring coverage imports modules of its own
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    imported = subprocess.run(
        [sys.executable, "-c", "import functions.separate.preload, sys; print(*sys.modules)"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "numpy" in imported
    slow = {"minio", "urllib3", "flask", "torch", "nats", "multiprocessing", "msgspec"}
    assert not slow & set(imported)
