"""A model is exported once for its weights, and a failure is remembered."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from functions.separate.engine.export.export_once import CannotExport, ExportCache
from functions.separate.engine.locate import BUNDLED, LocatedModel
from tests.integration.separate.engine.comparison import WEIGHTS, save_hdemucs


@pytest.fixture
def bundled() -> LocatedModel:
    return LocatedModel(BUNDLED, WEIGHTS)


@pytest.fixture
def older(tmp_path: Path) -> LocatedModel:
    """A model that cannot be exported."""
    save_hdemucs(tmp_path / "older.th")
    return LocatedModel("older", tmp_path / "older.th")


def test_two_that_export_at_once_export_once(
    bundled: LocatedModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    digest = bundled.digest()
    caches = [ExportCache(tmp_path / "cache") for _ in range(2)]
    assert caches[0].find(digest) is None
    with caplog.at_level(logging.INFO), ThreadPoolExecutor(2) as threads:
        exported = list(threads.map(lambda cache: cache.export(bundled, digest), caches))
    assert exported[0] == exported[1] == caches[0].find(digest)
    assert exported[0].weights_digest == digest
    assert caplog.messages.count("export started") == 1
    assert caplog.messages.count("export finished") == 1


def test_a_failed_export_is_not_tried_again(
    older: LocatedModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = ExportCache(tmp_path / "cache")
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            with pytest.raises(CannotExport, match="HDemucs is not HTDemucs"):
                cache.export(older, older.digest())
    assert caplog.messages.count("export started") == 1


def test_a_cache_that_cannot_be_written_is_named(bundled: LocatedModel, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(CannotExport, match="MODELS_CACHE cannot be used"):
        ExportCache(tmp_path / "cache").export(bundled, bundled.digest())
