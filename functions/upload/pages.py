"""Which page in a browser has caused a request.

A page of another site cannot read our answers, but it can make a browser send requests: an image
whose address is GET /apiv1/remove/…, or a form. Browsers say where a request comes from in
Sec-Fetch-Site (Fetch Metadata). Some send it only over https; they send Origin with a POST.
"""

from urllib.parse import urlsplit

import flask

from microdemucs.problems import Problem

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def ensure_not_cross_site() -> None:
    """Raise Problem (403) if the browser says that a page of another site has sent the request."""
    if flask.request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise _foreign("the browser sent Sec-Fetch-Site: cross-site")


def ensure_no_other_page() -> None:
    """Raise Problem (403) if a page of another origin would change something.

    Another port of the same host is another origin, too.
    """
    request = flask.request
    if request.method in _SAFE_METHODS:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site == "same-site":
        raise _foreign("the browser sent Sec-Fetch-Site: same-site")
    if site is None and origin is not None and not _is_own(origin):
        raise _foreign("the header Origin names another origin than the header Host")


def ensure_own_page() -> None:
    """Raise Problem (403) unless the request provably comes from this function's own page."""
    headers = flask.request.headers
    site = headers.get("Sec-Fetch-Site")
    sender = headers.get("Origin") or headers.get("Referer") or ""
    if site != "same-origin" and (site is not None or not _is_own(sender)):
        raise _foreign("nothing shows that this GET comes from no other page")


def _is_own(url: str) -> bool:
    """Return whether `url` has the host and the port of the request."""
    try:
        return urlsplit(url).netloc.lower() == flask.request.host.lower()
    except ValueError:
        return False


def _foreign(reason: str) -> Problem:
    return Problem(
        403,
        "cross-site",
        "Pages of other sites may not use this API",
        f"{reason}; call the API from its own page or from a program, and use DELETE to remove",
    )
