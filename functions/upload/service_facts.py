"""GET /apiv1/service: what a client may know before it sends a song. It needs no token."""

from typing import Any

import flask

import microdemucs
from functions.upload.context import Context, context
from microdemucs import formats
from microdemucs.options import BITRATES, CONTENT_TYPES

_EXAMPLE_S = 240

routes = flask.Blueprint("service_facts", __name__)


@routes.get("/apiv1/service")
def get_service() -> dict[str, Any]:
    """Return the limits, accepted formats, retention and speed of this deployment."""
    ctx = context()
    settings, retention = ctx.settings, ctx.settings.retention
    return {
        "version": microdemucs.__version__,
        "songs": {
            "max_bytes": settings.max_bytes,
            "max_seconds": settings.max_seconds,
            "formats": [
                {
                    "name": format_.name,
                    "suffixes": format_.suffixes,
                    "types": format_.content_types,
                }
                for format_ in formats.FORMATS
            ],
        },
        "stems": {
            "formats": [
                {"name": name, "type": content_type} for name, content_type in CONTENT_TYPES.items()
            ],
            "bitrates": BITRATES,
        },
        "retention_days": {
            "songs": retention.songs_days or None,
            "stems": retention.stems_days or None,
            "jobs": retention.jobs_days or None,
        },
        "link_hours": settings.link_hours,
        "speed": _speed(ctx),
    }


def _speed(ctx: Context) -> dict[str, Any]:
    """Return how fast the default model was in past jobs; null if there were none."""
    past = ctx.queue.current().past
    factor = past.real_time_factor()
    return {
        "model": past.default_model or None,
        "real_time_factor": factor and round(factor, 4),
        "seconds_for_4_minutes": factor and round(factor * _EXAMPLE_S, 1),
    }
