from collections.abc import Callable

import pytest
from flask import Flask

from functions.upload.app import create_app
from functions.upload.context import Context, context
from microdemucs.settings import BadSetting
from testing.web_client import WebClient


def context_of(app: Flask) -> Context:
    with app.app_context():
        return context()


def test_the_buckets_are_those_of_the_settings(serve: Callable[..., WebClient]) -> None:
    client = serve(SONGS_BUCKET="my-songs", STEMS_BUCKET="my-stems")
    ctx = context_of(client.application)
    assert (ctx.songs.name, ctx.public_songs.name) == ("my-songs", "my-songs")
    assert (ctx.stems.name, ctx.public_stems.name) == ("my-stems", "my-stems")


def test_one_process_has_one_context(client: WebClient) -> None:
    assert context_of(client.application) is context_of(client.application)


def test_the_settings_limit_the_streams(serve: Callable[..., WebClient]) -> None:
    assert context_of(serve(EVENT_STREAMS="1").application).streams.limit == 1


def test_a_bad_setting_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINK_HOURS", "forever")
    with pytest.raises(BadSetting, match="LINK_HOURS is 'forever'"):
        context_of(create_app())
