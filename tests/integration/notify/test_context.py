"""The dependencies of a process, from its settings."""

import io
from collections.abc import Iterator
from datetime import timedelta

import pytest

from functions.notify.context import Context, build_context
from testing.stack import Stack
from testing.waiting import wait_until


@pytest.fixture
def ctx(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STORE_PUBLIC_URL", "https://store.example")
    ctx = build_context()
    yield ctx
    ctx.bus.close()


def test_the_bus_connects(ctx: Context) -> None:
    wait_until(lambda: ctx.bus.is_up)


def test_the_output_bucket_is_reached_at_the_store_url(ctx: Context, stack: Stack) -> None:
    stack.store.put_object("stems", "a.mp3/reached.mp3", io.BytesIO(b"stem"), 4)
    assert ctx.stems.read("a.mp3/reached.mp3") == b"stem"
    stack.store.remove_object("stems", "a.mp3/reached.mp3")


def test_presigned_urls_begin_with_the_public_url(ctx: Context) -> None:
    url = ctx.public_stems.presigned_url("a.mp3/drums.mp3", timedelta(hours=1), {})
    assert url.startswith("https://store.example/stems/a.mp3/drums.mp3?")


def test_egress_follows_the_settings(ctx: Context) -> None:
    assert ctx.egress.allow_private
