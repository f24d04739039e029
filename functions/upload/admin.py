"""GET /admin and /apiv1/admin/…: the state of this deployment, for the one who runs it."""

import shutil
import tempfile
from collections import Counter
from typing import Any

import flask

import microdemucs
from functions.upload.assets import page_response
from functions.upload.context import Context, context
from functions.upload.page import content_security_policy
from microdemucs.bucket import Bucket
from microdemucs.jobs import JobState
from microdemucs.problems import RetryLater, now

routes = flask.Blueprint("admin", __name__)


@routes.get("/admin")
def show_admin_page() -> flask.Response:
    """Return the operator's page. It holds no data: its script asks the API, with a token."""
    response = page_response(flask.render_template("admin.html", states=list(JobState)))
    response.headers["Content-Security-Policy"] = content_security_policy()
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@routes.get("/apiv1/admin/health")
def get_health() -> dict[str, Any]:
    """Return the state of the bus, the store, the disk and the queue, also if one is away."""
    ctx = context()
    disk = shutil.disk_usage(tempfile.gettempdir())
    return {
        "time": now(),
        "version": microdemucs.__version__,
        "bus": {"up": ctx.bus.is_up, "version": ctx.bus.server_version},
        "store": {"up": _can_be_reached(ctx.songs) and _can_be_reached(ctx.stems)},
        "disk": {"free_bytes": disk.free, "total_bytes": disk.total},
        "uploads": {
            "used_bytes": ctx.upload_space.used,
            "limit_bytes": ctx.settings.upload_space,
        },
        "streams": {"open": ctx.streams.open, "limit": ctx.streams.limit},
        "jobs": _job_counts(ctx),
    }


def _can_be_reached(bucket: Bucket) -> bool:
    try:
        return bucket.exists()
    except RetryLater:
        return False


def _job_counts(ctx: Context) -> dict[str, int]:
    counts = Counter(job.state for job in ctx.jobs.records())
    return {state: counts[state] for state in JobState}
