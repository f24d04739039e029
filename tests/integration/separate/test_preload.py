"""The model that a process begins with, before it has imported the rest of itself."""

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from functions.separate import preload
from functions.separate.engine.registry import BUNDLED
from microdemucs.options import BadOption
from microdemucs.paths import ROOT


@pytest.fixture(autouse=True)
def new_process() -> Iterator[None]:
    """As in a new process."""
    preload.registry.cache_clear()
    yield
    preload.registry.cache_clear()


def test_the_model_that_was_begun_with_is_loaded_once(monkeypatch, caplog):
    monkeypatch.setenv("MODEL", BUNDLED)
    with caplog.at_level(logging.INFO):
        preload.start()
        models = preload.registry()
        model = models.load(models.choose(""))
    assert model.name == BUNDLED
    assert [line.message for line in caplog.records].count("model loaded") == 1


def test_a_model_that_cannot_be_loaded_is_told_to_whoever_wants_it(monkeypatch, tmp_path):
    monkeypatch.setenv("MODEL", str(tmp_path / "none.th"))
    preload.start()
    models = preload.registry()
    with pytest.raises(BadOption, match="none"):
        models.load(models.choose(""))


def test_it_begins_before_the_clients_of_store_and_web_are_imported():
    said = subprocess.run(
        [sys.executable, "-c", "import functions.separate.preload, sys; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "numpy" in said
    assert not {"minio", "urllib3", "flask", "torch", "nats", "multiprocessing"} & set(said)
