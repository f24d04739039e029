"""The room a function lives in: probes, and answers that leak nothing.

install_probes_and_errors(current_app, ready)     in main.py, which functions-framework runs inside its app
python -m microdemucs.service separate     serves functions/separate/main.py
"""

import importlib
import logging
import signal
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import cloudevents.exceptions
import flask
import functions_framework
from gunicorn.app.base import BaseApplication
from werkzeug.exceptions import HTTPException

from microdemucs import settings
from microdemucs.paths import FUNCTIONS
from microdemucs.problems import CONTENT_TYPE, Problem, RetryLater

log = logging.getLogger(__name__)
stopping = threading.Event()
"""Set on SIGTERM: finish soon, or hand back what cannot be finished."""


def install_probes_and_errors(app: flask.Flask, ready: Callable[[], None]) -> None:
    """Add /healthz and /readyz to `app`, and answer every failure as a problem.

    `ready` raises a Problem where the function cannot work yet; the first call may start it.
    """

    def healthz() -> tuple[dict[str, str], int]:
        return {"status": "alive"}, 200

    def readyz() -> tuple[dict[str, str], int]:
        if stopping.is_set():
            raise RetryLater("stopping", "This process is about to end")
        ready()
        return {"status": "ready"}, 200

    app.add_url_rule("/healthz", view_func=healthz, methods=["GET"])
    app.add_url_rule("/readyz", view_func=readyz, methods=["GET"])
    app.register_error_handler(Problem, answer)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(cloudevents.exceptions.GenericException, _no_event)
    app.register_error_handler(Exception, _crash)


def answer(problem: Problem) -> flask.Response:
    """`problem` as an HTTP answer (RFC 9457), with Retry-After where it may pass."""
    response = flask.jsonify(problem.body())
    response.status_code = problem.status
    response.content_type = CONTENT_TYPE
    if isinstance(problem, RetryLater):
        response.headers["Retry-After"] = str(max(1, round(problem.after)))
    return response


def no_content() -> None:
    """Answer a success 204: a Broker takes a body that is no event for a failure."""

    @flask.after_this_request
    def empty(response: flask.Response) -> flask.Response:
        if response.status_code == HTTPStatus.OK:
            response.status_code = HTTPStatus.NO_CONTENT
            response.set_data(b"")
        return response


def _http_error(error: HTTPException) -> flask.Response:
    status = HTTPStatus(error.code or 500)
    # werkzeug's and the framework's own descriptions may repeat the request: not told.
    problem = Problem(status, "http", status.phrase)
    response = answer(problem)
    response.headers.extend(
        (name, value) for name, value in error.get_headers() if name in ("Allow", "Retry-After")
    )
    return response


def _no_event(_: Exception) -> flask.Response:
    return answer(Problem(400, "no-event", "The request is no CloudEvent of version 1.0"))


def _crash(error: Exception) -> flask.Response:
    log.error("crashed", exc_info=error)
    return answer(Problem(500, "crash", "Something failed here; the logs tell what"))


class _Server(BaseApplication):  # type: ignore[misc]
    """One gunicorn worker with threads, so that probes are answered while a song is worked on."""

    def __init__(self, target: str) -> None:
        self.target = target
        super().__init__()

    def load_config(self) -> None:
        host, port = settings.text("HOST", "0.0.0.0"), settings.text("PORT", "8080")  # noqa: S104
        chosen: dict[str, Any] = {
            "bind": f"{host}:{port}",
            "workers": 1,
            "threads": int(settings.number("THREADS", 8)),
            "worker_class": "gthread",
            "timeout": 0,  # a song takes as long as it takes; the caller has the time limit
            "graceful_timeout": int(settings.number("GRACE_SECONDS", 25)),
            "keepalive": 30,
            "loglevel": "warning",
            "control_socket_disable": True,
            "post_worker_init": _hear_stop,
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> flask.Flask:
        """In the worker, so what a function's ahead.py begins is where the function will be."""
        source = FUNCTIONS / self.target / "main.py"
        if source.with_name("ahead.py").exists():
            importlib.import_module(f"functions.{self.target}.ahead").begin()
        app: flask.Flask = functions_framework.create_app(self.target, str(source))  # type: ignore[no-untyped-call]
        return app


def _hear_stop(_: Any) -> None:
    graceful = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: Any) -> None:
        stopping.set()
        if callable(graceful):
            graceful(number, frame)

    signal.signal(signal.SIGTERM, stop)


if __name__ == "__main__":
    # run as `python -m`, this file is __main__: the functions must see the one `stopping`
    from microdemucs.service import _Server as Server

    Server(sys.argv[1]).run()
