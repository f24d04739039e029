"""POST /apiv1/uploads: permission to upload one song straight to the store, past this function."""

import re
import unicodedata
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import flask

from functions.upload import models, tokens
from functions.upload.context import context
from functions.upload.json_documents import bad_value, optional_object, read_document
from microdemucs import formats
from microdemucs.options import Options

VALID_FOR = timedelta(hours=1)
# The name becomes a folder in the output bucket; most file systems allow 255 bytes.
_MAX_NAME_BYTES = 200
_MAX_SUFFIX_CHARACTERS = 10
# The store replaces ${filename} in the key, and then refuses the form.
_VARIABLE_START = re.compile(r"\$+\{")
_AUDIO_TYPE = re.compile(r"audio/[\w.+-]{1,100}")

routes = flask.Blueprint("presigned_form", __name__)


@routes.post("/apiv1/uploads")
def create_upload() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Return a presigned POST (S3's browser upload): its URL, its fields, and the job's path."""
    ctx = context()
    members = read_document("filename", "type", "options")
    name = safe_file_name(members.get("filename"))
    content_type = audio_type(name, members.get("type"))
    options = Options.of_request(optional_object(members, "options"))
    models.ensure_usable(options)
    id_ = uuid.uuid4().hex
    signed = {"key": f"form/{id_}/{name}"}
    metadata = options.metadata() | tokens.submitter_metadata()
    signed |= {f"x-amz-meta-{name}": value for name, value in metadata.items()}
    is_audio = content_type.startswith("audio/")
    if not is_audio:  # a video with an audio track
        signed["Content-Type"] = content_type
    expires = datetime.now(UTC) + VALID_FOR
    signature = ctx.public_songs.presigned_post(
        signed,
        prefixes={"Content-Type": "audio/"} if is_audio else {},
        max_bytes=ctx.settings.max_bytes,
        expires=expires,
    )
    job = f"/apiv1/jobs/{id_}"
    upload = {
        "id": id_,
        "url": f"{ctx.settings.store.public_url}/{ctx.public_songs.name}",
        "fields": signed | {"Content-Type": content_type} | signature,
        "expires": expires.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "limits": {
            "bytes": ctx.settings.max_bytes,
            "type": "audio/*" if is_audio else content_type,
        },
        "job": job,
        "events": f"{job}/events",
    }
    return upload, 201, {"Location": job}


def safe_file_name(value: Any) -> str:
    """Return the last part of a path, short enough for a key, with its suffix. Raises Problem."""
    if not isinstance(value, str):
        raise bad_value("filename", value, "the name of a file")
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", value)[-1])
    name = "".join(c for c in name if unicodedata.category(c)[0] != "C").strip()
    name = _VARIABLE_START.sub("{", name)
    if name in ("", ".", ".."):
        raise bad_value("filename", value, "the name of a file")
    stem, dot, suffix = name.rpartition(".")
    ending = f"{dot}{suffix}" if stem and len(suffix) <= _MAX_SUFFIX_CHARACTERS else ""
    max_stem_bytes = _MAX_NAME_BYTES - len(ending.encode())
    stem_bytes = name.removesuffix(ending).encode()[:max_stem_bytes]
    return stem_bytes.decode(errors="ignore") + ending


def audio_type(name: str, value: Any) -> str:
    """Return the media type of a song: the declared one, else by its name. Raises Problem."""
    if value is not None and not isinstance(value, str):
        raise bad_value("type", value, "a media type such as audio/mpeg")
    declared = (value or "").partition(";")[0].strip().lower()
    if _AUDIO_TYPE.fullmatch(declared) or declared in formats.CONTENT_TYPES:
        return declared
    # Browsers know no type for some suffixes, and a wrong one for others.
    for format_ in formats.FORMATS:
        if name.lower().endswith(format_.suffixes):
            return format_.content_types[0]
    suffixes = ", ".join(formats.SUFFIXES)
    raise bad_value("filename", name, f"a name that ends in {suffixes}, unless type is audio/…")
