"""The context of a process, built from its settings."""

import threading
from collections.abc import Iterator

import pytest

from functions.separate.context import Context, build_context
from microdemucs.settings import BadSetting


@pytest.fixture
def built(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    """The context that is built from the settings of the function and these."""
    own = {"RANGE_SECONDS": "300", "SONG_CONCURRENCY": "2", "GRACE_SECONDS": "7"}
    for name, value in (settings | own | {"MAX_SONG_SECONDS": "9", "MP3_QUALITY": "0"}).items():
        monkeypatch.setenv(name, value)
    context = build_context()
    yield context
    context.bus.close()


def test_the_context_holds_the_limits_of_the_settings(built: Context) -> None:
    assert (built.range_seconds, built.song_concurrency, built.grace_seconds) == (300, 2, 7)
    assert (built.max_song_seconds, built.max_song_bytes, built.mp3_quality) == (9, 2**30, 0)


def test_the_context_reaches_the_store(built: Context) -> None:
    assert built.stems.exists()
    assert built.songs("songs").exists()


def test_a_bad_setting_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANGE_SECONDS", "-1")
    with pytest.raises(BadSetting, match="RANGE_SECONDS"):
        build_context()


def test_a_context_publishes_nothing_by_itself(built: Context) -> None:
    assert "models" not in {thread.name for thread in threading.enumerate()}
