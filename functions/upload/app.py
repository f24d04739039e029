"""The web app: every family of routes, one guard before them, problems for all that goes wrong."""

import logging
import time

import flask
from werkzeug.exceptions import RequestEntityTooLarge

from functions.upload import (
    event_stream,
    jobs,
    page,
    presigned_form,
    preview,
    separations,
    tokens,
    tracks,
    webhooks,
)
from functions.upload.context import build_context, context
from functions.upload.json_documents import DOCUMENT_BYTES
from microdemucs import service
from microdemucs.lazy import Lazy
from microdemucs.problems import Problem, RetryLater
from microdemucs.store import map_store_errors

log = logging.getLogger(__name__)

FAMILIES = (page, presigned_form, separations, jobs, event_stream, preview, tracks, webhooks)


def web() -> flask.Flask:
    """The app. Settings are read, and store and bus reached, on the first request."""
    # /static is taken: the app of functions-framework around this one answers there itself
    app = flask.Flask("functions.upload", static_folder="static", static_url_path="/assets")
    app.config["MAX_CONTENT_LENGTH"] = DOCUMENT_BYTES  # /apiv1/separate has its own
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["context"] = Lazy(build_context)
    app.before_request(_begin)
    app.before_request(tokens.guard)
    for family in FAMILIES:
        app.register_blueprint(family.routes)
    app.after_request(_finish)
    service.install_probes_and_errors(app, check_ready)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    return app


def check_ready() -> None:
    """Raises Problem where a setting is missing, or the store or the bus is away."""
    ctx = context()
    tokens.check_settings(ctx.settings)
    ctx.jobs.check()
    if not ctx.bus.is_up:
        raise RetryLater("bus-away", "The message bus cannot be reached", after=3)
    with map_store_errors():
        if not ctx.store.bucket_exists(ctx.names.stems):
            raise RetryLater("store-away", "The store has no bucket for stems yet")


def _begin() -> None:
    flask.g.began = time.monotonic()


def _finish(response: flask.Response) -> flask.Response:
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if flask.request.path.startswith("/apiv1/"):
        response.headers.setdefault("Cache-Control", "no-store")
        log.info(
            "answered",
            extra={
                "method": flask.request.method,
                "path": flask.request.path,
                "status": response.status_code,
                "seconds": round(time.monotonic() - flask.g.began, 3),
            },
        )
    return response


def _too_large(_: RequestEntityTooLarge) -> flask.Response:
    limit = flask.request.max_content_length
    return service.problem_response(
        Problem(
            413,
            "body-too-large",
            "The request's body is too large",
            f"it may have {limit} bytes",
            limit=limit,
        )
    )
