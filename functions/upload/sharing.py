"""POST /apiv1/jobs/<id>/share, and what may be read with the token of a share link.

A share link leads to a page that shows and plays one job. Its token is behind the #, so it is in
no log of a server and in no Referer.
"""

import math
import time
from datetime import UTC, datetime
from typing import Any

import flask

from functions.upload.context import context
from functions.upload.finished_stems import find_finished_stems
from functions.upload.json_documents import bad_value, read_document
from functions.upload.share_links import BadShareToken, Grant
from microdemucs.problems import Problem

PARAMETER = "share"
"""The query parameter for a token: a link to a download cannot send a header."""

_DEFAULT_HOURS = 7 * 24.0
_MAX_HOURS = 365 * 24
_READABLE = {
    "jobs.get_job": "id_",
    "peaks.get_peaks": "id_",
    "covers.get_cover": "id_",
    "stems_zip.get_zip": "id_",
    "mixes.get_mix": "id_",
    "stem_mp4.get_stem_file": "id_",
    "tracks.get_track": "hash_",
}
"""The routes that a token opens, and the parameter that must be the job's id."""

routes = flask.Blueprint("sharing", __name__)


@routes.post("/apiv1/jobs/<id_>/share")
def create_link(id_: str) -> tuple[dict[str, Any], int]:
    """Return a link that shows the job to anybody who has it, and the link's token."""
    ctx = context()
    members = read_document("hours") if flask.request.get_data() else {}
    hours = _check_hours(members.get("hours", _DEFAULT_HOURS))
    job = find_finished_stems(ctx, id_).job
    grant = Grant(job.id, math.ceil(time.time() + 3600 * hours))
    token = ctx.share_links.sign(grant)
    expires = datetime.fromtimestamp(grant.expires, UTC).isoformat().replace("+00:00", "Z")
    return {"url": f"/shared#job={job.id}&token={token}", "token": token, "expires": expires}, 201


def check_share_token(token: str) -> None:
    """Let this request pass if the token allows it, and keep the Grant in flask.g.grant.

    Raises Problem (403).
    """
    request = flask.request
    try:
        grant = context().share_links.read(token, time.time())
    except BadShareToken as error:
        raise _refused(str(error)) from None
    parameter = _READABLE.get(request.endpoint or "", "")
    job = (request.view_args or {}).get(parameter)
    if request.method not in ("GET", "HEAD") or job != grant.job:
        raise _refused("it only lets you read one job and its stems")
    flask.g.grant = grant


def _check_hours(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value <= _MAX_HOURS:
        raise bad_value("hours", value, f"a number above 0, up to {_MAX_HOURS}")
    return float(value)


def _refused(reason: str) -> Problem:
    return Problem(
        403,
        "bad-share-link",
        "The share link is not accepted",
        f"{reason}; ask the person who sent it for a new one",
    )
