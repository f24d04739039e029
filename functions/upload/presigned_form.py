"""POST /apiv1/uploads: leave to put one song straight into the store, without passing here."""

import mimetypes
import re
import unicodedata
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import flask
from minio.datatypes import PostPolicy

from functions.upload.context import context
from functions.upload.json_documents import bad, document
from microdemucs.events import SONG_SUFFIXES
from microdemucs.options import Options

HOLDS = timedelta(hours=1)
# The name is a folder's name in the output bucket, for which most file systems have 255 bytes.
_NAME_BYTES = 200
_AUDIO_TYPE = re.compile(r"audio/[\w.+-]{1,100}")

routes = flask.Blueprint("uploads", __name__)


@routes.post("/apiv1/uploads")
def grant() -> tuple[dict[str, Any], int, dict[str, str]]:
    """A presigned POST (S3's browser upload): its address, its fields, and the job's address."""
    ctx = context()
    said = document("filename", "type", "options")
    name = file_name(said.get("filename"))
    type_ = _audio_type(name, said.get("type"))
    given = said.get("options") or {}
    if not isinstance(given, dict):
        raise bad("options", "an object")
    id_ = uuid.uuid4().hex
    fields = {"key": f"form/{id_}/{name}", "Content-Type": type_}
    fields |= {f"x-amz-meta-{k}": v for k, v in Options.of_request(given).metadata().items()}
    ends = datetime.now(UTC) + HOLDS
    job = f"/apiv1/jobs/{id_}"
    answer = {
        "id": id_,
        "url": f"{ctx.names.public_url}/{ctx.names.songs}",
        "fields": fields | ctx.links.presigned_post_policy(_policy(fields, ends)),
        "expires": ends.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "limits": {"bytes": ctx.settings.max_bytes, "type": "audio/*"},
        "job": job,
        "events": f"{job}/events",
    }
    return answer, 201, {"Location": job}


def file_name(given: Any) -> str:
    """The last part of a path, short enough for a key, its suffix kept. Raises Problem."""
    if not isinstance(given, str):
        raise bad("filename", "the name of a file")
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", given)[-1])
    name = "".join(c for c in name if unicodedata.category(c)[0] != "C").strip()
    if name in ("", ".", ".."):
        raise bad("filename", "the name of a file")
    stem, dot, suffix = name.rpartition(".")
    end = f"{dot}{suffix}" if stem and len(suffix) <= 10 else ""
    room = _NAME_BYTES - len(end.encode())
    return name.removesuffix(end).encode()[:room].decode(errors="ignore") + end


def _audio_type(name: str, given: Any) -> str:
    if given is not None and not isinstance(given, str):
        raise bad("type", "a media type as in audio/mpeg")
    type_ = (given or "").partition(";")[0].strip().lower()
    if _AUDIO_TYPE.fullmatch(type_):
        return type_
    if not name.lower().endswith(SONG_SUFFIXES):
        raise bad("filename", f"that of a song: {' '.join(SONG_SUFFIXES)}, or type audio/…")
    # browsers call .ogg video/ogg, and know no type for some others
    guessed = mimetypes.guess_type(name)[0] or ""
    return guessed if _AUDIO_TYPE.fullmatch(guessed) else "audio/mpeg"


def _policy(fields: dict[str, str], ends: datetime) -> PostPolicy:
    ctx = context()
    policy = PostPolicy(ctx.names.songs, ends)
    for name, value in fields.items():
        if name == "Content-Type":
            policy.add_starts_with_condition(name, "audio/")
        else:
            policy.add_equals_condition(name, value)
    policy.add_content_length_range_condition(1, ctx.settings.max_bytes)
    return policy
