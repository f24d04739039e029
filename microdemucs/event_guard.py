"""Refuse events from anybody but the bridge, before a function sees them.

A page in a browser can reach a function on this machine, too; it can neither sign events nor read
answers, and its requests are refused even earlier.
"""

from collections.abc import Callable
from typing import NamedTuple

import flask
from cloudevents.exceptions import GenericException
from cloudevents.http import CloudEvent, from_http

from microdemucs.event_signature import ensure_signed
from microdemucs.loopback import is_loopback, names_loopback
from microdemucs.problems import Problem

MAX_EVENT_BYTES = 16 * 2**20
"""Four times the largest message on the bus: in JSON a character may become an escape."""


class Access(NamedTuple):
    """The address on which the function listens, and the secret that it shares with the bridge."""

    host: str
    secret: str


def guard_events(app: flask.Flask, access: Callable[[], Access]) -> None:
    """Refuse, before each POST to `app`, what is not an event of the bridge."""

    def check() -> None:
        if flask.request.method == "POST":
            host, secret = access()
            ensure_no_page()
            ensure_own_host(host)
            ensure_event()
            ensure_signed(read_event(), secret)

    app.config["MAX_CONTENT_LENGTH"] = MAX_EVENT_BYTES
    app.before_request(check)


def ensure_no_page() -> None:
    """Raise Problem (403) if a page in a browser has caused the request."""
    headers = flask.request.headers
    if "Origin" in headers or headers.get("Sec-Fetch-Site", "none") != "none":
        raise Problem(
            403,
            "cross-site",
            "Pages may not send events",
            "the request has the header Origin or Sec-Fetch-Site, which browsers send",
        )


def ensure_own_host(host: str) -> None:
    """Raise Problem (403) if the function listens on loopback and Host names something else."""
    if is_loopback(host) and not names_loopback(flask.request.host):
        raise Problem(
            403,
            "wrong-host",
            "The request names another host",
            "this function listens on a loopback address: Host must name one, too",
        )


def ensure_event() -> None:
    """Raise Problem (415) if the request is no CloudEvent in binary or structured mode.

    A page of another site may send text/plain without asking, but neither of these.
    """
    request = flask.request
    if "ce-specversion" not in request.headers and (
        request.mimetype != "application/cloudevents+json"
    ):
        raise Problem(
            415,
            "no-event",
            "The request is not a CloudEvent",
            "send a CloudEvent 1.0 in binary mode, or in structured mode as "
            "application/cloudevents+json",
        )


def read_event() -> CloudEvent:
    """Return the event of the request. Raises Problem (400) if it cannot be read.

    Nobody has signed it yet, and the library raises much more than its own exceptions.
    """
    try:
        return from_http(flask.request.headers, flask.request.get_data())
    except (GenericException, ValueError, TypeError, LookupError, AttributeError) as error:
        raise _unreadable(type(error).__name__) from error
    except RecursionError as error:
        raise _unreadable("it is nested too deeply") from error


def _unreadable(reason: str) -> Problem:
    return Problem(400, "no-event", "The request is not a CloudEvent", reason)
