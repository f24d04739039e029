"""The routes of the web page and of the API's OpenAPI description."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import flask

from functions.upload.assets import get_asset, page_response
from functions.upload.context import context
from microdemucs import formats
from microdemucs.options import BITRATES, FORMATS
from microdemucs.paths import ROOT
from microdemucs.settings import RetentionSettings

EXAMPLE_SONG = ROOT / "samples" / "black_mountain.mp3"
"""A song to try the page with. The checkout and the image have it."""

_WEB_ASSEMBLY = "'wasm-unsafe-eval'"
"""What changes speed and pitch is WebAssembly. It allows no eval of JavaScript."""

_OPENAPI_FILE = Path(__file__).with_name("openapi.json")

routes = flask.Blueprint("page", __name__)


@routes.get("/")
def show_page() -> flask.Response:
    """Return the page: it uploads songs, shows their progress, and plays their stems."""
    return _page(shared=False)


@routes.get("/shared")
def show_shared_page() -> flask.Response:
    """Return the page of share links. It learns from the address, behind the #, what to show."""
    return _page(shared=True)


@routes.get("/favicon.ico")
@routes.get("/robots.txt")
def get_file_of_the_site() -> flask.Response:
    """Return a file that browsers and crawlers look for at the root."""
    return get_asset(flask.request.path[1:])


@routes.get("/example.mp3")
def get_example_song() -> flask.Response:
    """Return the song that the page offers to be tried with."""
    if not EXAMPLE_SONG.exists():
        flask.abort(404)
    return flask.send_file(EXAMPLE_SONG, "audio/mpeg", max_age=24 * 3600)


@routes.get("/apiv1/openapi.json")
def get_openapi() -> dict[str, Any]:
    """Return the API as an OpenAPI 3.1 document."""
    return _openapi_document()


def content_security_policy(store_url: str = "", scripts: str = "") -> str:
    """Return a page's policy: scripts and styles of its own; data also from the store, if any.

    `scripts` names other sources of scripts that are allowed.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {scripts}".rstrip(),
            "style-src 'self'",
            "img-src 'self' data:",
            f"connect-src 'self' {store_url}".rstrip(),
            f"media-src 'self' {store_url}".rstrip(),
            "worker-src 'self'",
            "manifest-src 'self'",
            "form-action 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def describe_retention(retention: RetentionSettings) -> str:
    """Return how long songs and stems are kept, in a sentence for the page."""
    songs, stems = retention.songs_days, retention.stems_days
    stay = "stay on this server until you delete them"
    if songs and songs == stems:
        return f"Songs and their stems are deleted after {_days(songs)}."
    if songs and stems:
        return f"Songs are deleted after {_days(songs)}, their stems after {_days(stems)}."
    if songs:
        return f"Songs are deleted after {_days(songs)}; their stems {stay}."
    if stems:
        return f"Songs {stay}; their stems are deleted after {_days(stems)}."
    return f"Songs and their stems {stay}."


def _days(count: int) -> str:
    return f"{count} day{'s' if count > 1 else ''}"


def _page(*, shared: bool) -> flask.Response:
    settings = context().settings
    response = page_response(
        flask.render_template(
            "page.html",
            shared=shared,
            suffixes=formats.SUFFIXES,
            content_types=formats.CONTENT_TYPES,
            format_names=formats.NAMES,
            formats=FORMATS,
            bitrates=BITRATES,
            max_song_bytes=settings.max_bytes,
            has_example=EXAMPLE_SONG.exists(),
            kept=describe_retention(settings.retention),
        )
    )
    response.headers["Content-Security-Policy"] = content_security_policy(
        settings.store.public_url, scripts=_WEB_ASSEMBLY
    )
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@cache
def _openapi_document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_OPENAPI_FILE.read_text())
    return document
