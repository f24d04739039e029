"""Access to the API: bearer tokens (RFC 6750), required unless only this machine can call it."""

import hmac
from hashlib import sha256

import flask

from functions.upload import pages, sharing
from functions.upload.context import context
from functions.upload.settings import Settings
from functions.upload.share_links import TOKEN_PREFIX
from microdemucs import service
from microdemucs.loopback import is_loopback, names_loopback
from microdemucs.problems import Problem
from microdemucs.submitters import METADATA_NAME, token_id

_PUBLIC_PATHS = {"/apiv1/openapi.json", "/apiv1/service"}
_NO_TOKENS = "The API is closed because no tokens are set"


def require_token() -> flask.Response | None:
    """Run before each request: refuse one that may not use the API, or return None."""
    request = flask.request
    if not request.path.startswith("/apiv1/") or request.path in _PUBLIC_PATHS:
        return None
    pages.ensure_not_cross_site()
    settings = context().settings
    is_local = is_loopback(settings.server.host) and names_loopback(request.host)
    if (settings.tokens or is_local) and (share_token := _share_token(settings.tokens)):
        sharing.check_share_token(share_token)
        return None
    if settings.tokens:
        return _check_authorization(request.headers.get("Authorization", ""), settings.tokens)
    if is_local:
        pages.ensure_no_other_page()
        return None
    return _unauthorized(
        Problem(
            401,
            "no-tokens",
            _NO_TOKENS,
            "the operator must set API_TOKENS, or call the API from the machine it runs on",
        )
    )


def ensure_tokens_set(settings: Settings) -> None:
    """Raise Problem (503) if other machines can reach the API and no token is set."""
    if not settings.tokens and not is_loopback(settings.server.host):
        raise Problem(
            503,
            "no-tokens",
            _NO_TOKENS,
            f"HOST is {settings.server.host}, which other machines can reach: set API_TOKENS to "
            "one or more tokens, separated by commas, or HOST to 127.0.0.1",
        )


def is_valid_token(token: str, tokens: tuple[str, ...]) -> bool:
    """Return whether `token` is one of `tokens`, in a time that reveals nothing about them."""
    digest = sha256(token.encode()).digest()
    matches = [hmac.compare_digest(digest, sha256(one.encode()).digest()) for one in tokens]
    return any(matches)


def caller_token() -> str:
    """Return the token of this request, which has been checked; "" if none is required."""
    if not context().settings.tokens:
        return ""
    return flask.request.headers.get("Authorization", "").partition(" ")[2].strip()


def submitter_metadata() -> dict[str, str]:
    """Return the metadata that names the sender of a song; none if no token is required."""
    id_ = token_id(caller_token(), context().settings.store.secret_key)
    return {METADATA_NAME: id_} if id_ else {}


def _share_token(tokens: tuple[str, ...]) -> str:
    """Return the token of a share link that the request has; "" if it has none."""
    request = flask.request
    if sharing.PARAMETER in request.args:
        return request.args[sharing.PARAMETER]
    sent = request.headers.get("Authorization", "").partition(" ")[2].strip()
    is_one = sent.startswith(TOKEN_PREFIX) and not is_valid_token(sent, tokens)
    return sent if is_one else ""


def _check_authorization(header: str, tokens: tuple[str, ...]) -> flask.Response | None:
    scheme, _, token = header.partition(" ")
    if scheme.lower() == "bearer" and is_valid_token(token.strip(), tokens):
        return None
    if not token:
        detail = "send the header Authorization: Bearer <token>"
        return _unauthorized(Problem(401, "unauthorized", "A token is required", detail))
    detail = "the token in the Authorization header is not one of this deployment's"
    problem = Problem(401, "unauthorized", "The token is not accepted", detail)
    return _unauthorized(problem, ', error="invalid_token"')


def _unauthorized(problem: Problem, parameters: str = "") -> flask.Response:
    response = service.problem_response(problem)
    response.headers["WWW-Authenticate"] = f'Bearer realm="micro-demucs"{parameters}'
    return response
