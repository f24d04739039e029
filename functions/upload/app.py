"""The Flask app: all routes, the token check before them, and RFC 9457 problems for all errors."""

import logging
import time

import flask
from werkzeug.exceptions import RequestEntityTooLarge

from functions.upload import (
    admin,
    assets,
    connection,
    covers,
    dead_letters,
    event_stream,
    jobs,
    mixes,
    models,
    page,
    peaks,
    presigned_form,
    preview,
    retry,
    separations,
    service_facts,
    sharing,
    stem_mp4,
    stems_zip,
    tokens,
    tracks,
    webhooks,
)
from functions.upload.context import build_context, context
from functions.upload.json_documents import MAX_DOCUMENT_BYTES
from microdemucs import service
from microdemucs.lazy import Lazy
from microdemucs.problems import Problem, RetryLater

log = logging.getLogger(__name__)

ROUTE_MODULES = (
    page,
    service_facts,
    models,
    presigned_form,
    separations,
    jobs,
    retry,
    event_stream,
    preview,
    peaks,
    covers,
    tracks,
    stems_zip,
    mixes,
    stem_mp4,
    sharing,
    webhooks,
    admin,
    dead_letters,
)


def create_app() -> flask.Flask:
    """Build the app. The first request reads the settings and connects to store and bus."""
    # Not /static: plain functions-framework serves that path itself.
    app = flask.Flask("functions.upload", static_folder=None)
    app.add_url_rule(f"{assets.PREFIX}<path:filename>", "static", assets.get_asset)
    app.config["MAX_CONTENT_LENGTH"] = MAX_DOCUMENT_BYTES  # /apiv1/separate sets its own limit
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["context"] = Lazy(build_context)
    app.after_request(connection.answer_before_body)  # runs last
    app.before_request(_start_timer)
    app.before_request(tokens.require_token)
    for module in ROUTE_MODULES:
        app.register_blueprint(module.routes)
    app.after_request(_finish_response)
    service.install_probes_and_errors(app, check_ready)
    app.register_error_handler(RequestEntityTooLarge, _body_too_large)
    app.register_error_handler(connection.ClientLeft, _client_left)
    return app


def check_ready() -> None:
    """Raise Problem if a setting is missing, or if the store or the bus cannot be reached."""
    ctx = context()
    tokens.ensure_tokens_set(ctx.settings)
    ctx.jobs.ensure_loaded()
    if not ctx.bus.is_up:
        raise RetryLater("bus-away", "The message bus cannot be reached", after=3)
    if not ctx.stems.exists():
        raise RetryLater(
            "store-away",
            "The store has no output bucket",
            f"there is no bucket named {ctx.stems.name}: run provision, or set STEMS_BUCKET",
        )


def _start_timer() -> None:
    flask.g.started = time.monotonic()


def _finish_response(response: flask.Response) -> flask.Response:
    if flask.request.path.startswith("/apiv1/"):
        response.headers.setdefault("Cache-Control", "no-store")
        log.info(
            "request answered",
            extra={
                "method": flask.request.method,
                "path": flask.request.path,
                "status": response.status_code,
                "seconds": round(time.monotonic() - flask.g.started, 3),
            },
        )
    return response


def _client_left(_: connection.ClientLeft) -> flask.Response:
    """Answer for the log only: nobody reads it."""
    return service.problem_response(Problem(408, "slow-client", "The client has left"))


def _body_too_large(_: RequestEntityTooLarge) -> flask.Response:
    size, limit = flask.request.content_length, flask.request.max_content_length
    received = f"it has {size} bytes; " if size else ""
    return service.problem_response(
        Problem(
            413,
            "body-too-large",
            "The request body is too large",
            f"{received}at most {limit} bytes are accepted",
            limit=limit,
        )
    )
