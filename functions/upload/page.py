"""The web form, and the description of the API for machines."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import flask

from functions.upload.context import context
from microdemucs.events import SONG_SUFFIXES
from microdemucs.options import BITRATES, FORMATS

OPENAPI = Path(__file__).with_name("openapi.json")

routes = flask.Blueprint("page", __name__)


@routes.get("/")
def form() -> flask.Response:
    """The page: it takes songs, shows how they go on, and plays their stems."""
    ctx = context()
    response = flask.make_response(
        flask.render_template(
            "page.html",
            suffixes=SONG_SUFFIXES,
            formats=FORMATS,
            bitrates=BITRATES,
            song_bytes=ctx.settings.max_bytes,
        )
    )
    store = ctx.names.public_url
    response.headers["Content-Security-Policy"] = "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            f"connect-src 'self' {store}",
            f"media-src 'self' {store}",
            "form-action 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@routes.get("/apiv1/openapi.json")
def openapi() -> dict[str, Any]:
    """The API as an OpenAPI 3.1 document."""
    return _document()


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(OPENAPI.read_text())
    return document
