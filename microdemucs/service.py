"""The HTTP runtime of every function: health probes, RFC 9457 errors, the gunicorn server.

    install_probes_and_errors(flask.current_app, check_ready)   in a function's main.py
    python -m microdemucs.service upload                        serves functions/upload/main.py

With `--preload MODULE`, the server calls `MODULE.start()` before it loads the function.
"""

import argparse
import importlib
import logging
import resource
import signal
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import cloudevents.exceptions
import flask
import functions_framework
from gunicorn.app.base import BaseApplication
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException

from microdemucs.fast_imports import without_garbage_collection
from microdemucs.hidden_memory import hide_memory
from microdemucs.malloc_arenas import limit_arenas
from microdemucs.paths import FUNCTIONS
from microdemucs.problems import CONTENT_TYPE, Problem, RetryLater
from microdemucs.server_worker import Worker
from microdemucs.settings import BadSetting, ServerSettings
from microdemucs.shutdown import stopping

log = logging.getLogger(__name__)


def install_probes_and_errors(app: flask.Flask, check_ready: Callable[[], None]) -> None:
    """Add /healthz and /readyz to `app`, and answer every error as an RFC 9457 problem.

    `check_ready` raises a Problem if the function cannot work yet. The first call may start it.
    """

    def healthz() -> tuple[dict[str, str], int]:
        return {"status": "alive"}, 200

    def readyz() -> tuple[dict[str, str], int]:
        if stopping.is_set():
            raise RetryLater("stopping", "This process is stopping")
        check_ready()
        return {"status": "ready"}, 200

    app.add_url_rule("/healthz", view_func=healthz, methods=["GET"])
    app.add_url_rule("/readyz", view_func=readyz, methods=["GET"])
    app.register_error_handler(Problem, problem_response)
    app.register_error_handler(BadSetting, _bad_setting)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(cloudevents.exceptions.GenericException, _not_an_event)
    app.register_error_handler(ParseException, _malformed_body)
    app.register_error_handler(Exception, _internal_error)
    app.after_request(_forbid_sniffing)


def problem_response(problem: Problem) -> flask.Response:
    """`problem` as an HTTP response (RFC 9457), with Retry-After if it is temporary."""
    response = flask.jsonify(problem.body())
    response.status_code = problem.status
    response.content_type = CONTENT_TYPE
    if isinstance(problem, RetryLater):
        response.headers["Retry-After"] = str(max(1, round(problem.after)))
    return response


def answer_without_content() -> None:
    """Answer a success with 204: a Broker treats a body that is not an event as a failure."""

    @flask.after_this_request
    def empty(response: flask.Response) -> flask.Response:
        if response.status_code == HTTPStatus.OK:
            response.status_code = HTTPStatus.NO_CONTENT
            response.set_data(b"")
        return response


def _http_error(error: HTTPException) -> flask.Response:
    status = HTTPStatus(error.code or 500)
    # Descriptions by werkzeug and functions-framework may repeat the request: they are left out.
    response = problem_response(Problem(status, "http", status.phrase))
    response.headers.extend(
        (name, value) for name, value in error.get_headers() if name in ("Allow", "Retry-After")
    )
    return response


def _bad_setting(error: BadSetting) -> flask.Response:
    return problem_response(Problem(503, "bad-setting", "A setting cannot be used", str(error)))


def _not_an_event(_: Exception) -> flask.Response:
    return problem_response(
        Problem(
            400,
            "no-event",
            "The request is not a CloudEvent",
            "send a CloudEvent 1.0 in binary or structured mode",
        )
    )


def _malformed_body(_: Exception) -> flask.Response:
    status = HTTPStatus.BAD_REQUEST
    return problem_response(Problem(status, "http", status.phrase))


def _forbid_sniffing(response: flask.Response) -> flask.Response:
    """Keep browsers from taking an answer for a page, whatever its type says."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response


def _internal_error(error: Exception) -> flask.Response:
    log.error("internal error", exc_info=error)
    return problem_response(
        Problem(500, "crash", "Internal error", "the function's log has the details")
    )


class _Server(BaseApplication):  # type: ignore[misc]
    """One gunicorn worker with threads, so that probes are answered while a song is separated."""

    def __init__(self, function: str, settings: ServerSettings, preload: str) -> None:
        self.settings = settings
        self._function = function
        self._preload = preload
        super().__init__()

    def load_config(self) -> None:
        chosen: dict[str, Any] = {
            "bind": f"{self.settings.host}:{self.settings.port}",
            "workers": 1,
            "threads": self.settings.threads,
            "worker_class": Worker,
            # Connections that have to make room for others need a moment to end.
            "worker_connections": 2 * self.settings.connections,
            "timeout": 0,  # a song takes as long as it takes; the caller has the time limit
            "graceful_timeout": int(self.settings.grace_seconds),
            "keepalive": 30,
            "limit_request_line": 8190,  # gunicorn's largest: the ids of many jobs fit
            "forwarder_headers": "",  # or a header SCRIPT_NAME would move the routes
            "sendfile": False,  # it would not wait for slow readers as ClientSocket does
            "loglevel": "warning",
            "control_socket_disable": True,
            "post_worker_init": _announce_stop,
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> flask.Flask:
        """Load the function. This runs in the worker, so what `preload` starts lives there."""
        with without_garbage_collection():
            if self._preload:
                importlib.import_module(self._preload).start()
            source = FUNCTIONS / self._function / "main.py"
            app: flask.Flask = functions_framework.create_app(self._function, str(source))  # type: ignore[no-untyped-call]
        return app


def _announce_stop(_: Any) -> None:
    stop_gracefully = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: Any) -> None:
        stopping.set()
        if callable(stop_gracefully):
            stop_gracefully(number, frame)

    signal.signal(signal.SIGTERM, stop)


def _allow_open_files() -> None:
    """Raise the limit of open files as far as possible: each connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    """Serve a function until SIGTERM. A setting that cannot be used ends the process at once."""
    hide_memory()
    limit_arenas()  # before there are threads
    parser = argparse.ArgumentParser(prog="microdemucs.service")
    parser.add_argument("function", help="a folder in functions/: separate, upload or notify")
    parser.add_argument("--preload", default="", metavar="MODULE", help="call MODULE.start() first")
    arguments = parser.parse_args()
    try:
        settings = importlib.import_module(f"functions.{arguments.function}.settings").Settings()
    except BadSetting as error:
        raise SystemExit(f"{arguments.function}: {error}") from None
    _allow_open_files()
    _Server(arguments.function, settings.server, arguments.preload).run()


if __name__ == "__main__":
    main()
