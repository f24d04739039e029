"""Who may use the API: bearer tokens (RFC 6750), needed wherever others can reach it."""

import hmac
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import urlsplit

import flask

from functions.upload.context import context
from functions.upload.settings import Settings
from microdemucs import service
from microdemucs.problems import Problem

_OPEN = {"/apiv1/openapi.json"}


def guard() -> flask.Response | None:
    """Let the request through, or answer it: runs before every request."""
    request = flask.request
    if not request.path.startswith("/apiv1/") or request.path in _OPEN:
        return None
    # Another site's page makes a browser send what it never could read: a picture whose address
    # is a GET /apiv1/remove.
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return service.problem_response(
            Problem(403, "cross-site", "Another site's page may not use this API")
        )
    settings = context().settings
    if settings.tokens:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and is_known(given.strip(), settings.tokens):
            return None
        problem = Problem(
            401,
            "unauthorized",
            "A token is needed",
            "this one is not known" if given else "send it as Authorization: Bearer <token>",
        )
        return _challenge(problem, ', error="invalid_token"' if given else "")
    # The name that was asked for counts too: a name that resolves to 127.0.0.1 for a moment (DNS
    # rebinding) would let another site's page in.
    if is_loopback(settings.server.host) and is_loopback(
        urlsplit(f"//{request.host}").hostname or ""
    ):
        return None
    return _challenge(
        Problem(
            401,
            "no-tokens",
            "The API is closed, since it has no tokens",
            "who runs it must make the setting API_TOKENS, or use it on the machine it runs on",
        )
    )


def check_settings(settings: Settings) -> None:
    """Raises Problem where tokens are needed and none is set."""
    if not settings.tokens and not is_loopback(settings.server.host):
        raise Problem(
            503,
            "no-tokens",
            "The API is closed, since it has no tokens",
            f"HOST is {settings.server.host}, which others can reach: set API_TOKENS to one or more "
            "tokens, separated by commas (or HOST to 127.0.0.1)",
        )


def is_known(given: str, tokens: tuple[str, ...]) -> bool:
    """Whether `given` is one of `tokens`, in a time that does not tell how much of it is right."""
    said = sha256(given.encode()).digest()
    same = [hmac.compare_digest(said, sha256(token.encode()).digest()) for token in tokens]
    return any(same)


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _challenge(problem: Problem, more: str = "") -> flask.Response:
    response = service.problem_response(problem)
    response.headers["WWW-Authenticate"] = f'Bearer realm="micro-demucs"{more}'
    return response
