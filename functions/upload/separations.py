"""POST /apiv1/separate: a song inside JSON becomes an object named after its SHA-256."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any, BinaryIO

import flask

from functions.upload import json_song_body, webhook_urls
from functions.upload.context import Context, context
from functions.upload.json_documents import (
    MAX_DOCUMENT_BYTES,
    bad_hidden_value,
    bad_value,
    parse_document,
    require_json,
)
from microdemucs.bus import JOBS, WEBHOOKS, Entry, RevisionConflict
from microdemucs.events import ObjectCreated
from microdemucs.jobs import JobRecord
from microdemucs.options import Options
from microdemucs.problems import RetryLater, now
from microdemucs.result_store import read_manifest
from microdemucs.webhooks import CallbackRecord, callback_key

MAX_CALLBACK_BYTES = 64 * 1024
_CONTENT_TYPE = "audio/mpeg"

routes = flask.Blueprint("separations", __name__)


@routes.post("/apiv1/separate")
def separate_song() -> dict[str, str]:
    """Store the song; the bucket's notification then starts its separation."""
    ctx = context()
    # Base64 takes 4/3 of the bytes, and some encoders write "+" as \\u002B and "/" as \\/
    flask.request.max_content_length = ctx.settings.max_bytes * 8 // 5 + MAX_DOCUMENT_BYTES
    require_json()
    with _temporary_file() as file:
        song = json_song_body.SongDecoder(file, ctx.settings.max_bytes)
        rest = json_song_body.extract_song(flask.request.stream, song)
        members = parse_document(rest, "mp3", "model", "options", "callback")
        if members.get("mp3") != "" or not song.size:
            raise bad_value("mp3", members.get("mp3"), "the bytes of a song in base64")
        options = _read_options(members)
        callback_id = _store_callback(ctx, members.get("callback"))
        key = f"{song.sha256}.mp3"
        if not callback_id and _is_separated(ctx, key, options):
            return {"hash": song.sha256, "reason": "already separated"}
        file.seek(0)
        _store_song(ctx, key, file, song.size, options, callback_id)
    return {"hash": song.sha256, "reason": "queued"}


@contextmanager
def _temporary_file() -> Iterator[BinaryIO]:
    try:
        with tempfile.TemporaryFile(prefix="song-") as file:
            yield file
    except OSError as error:  # the disk is full or cannot be written
        raise RetryLater(
            "no-room", "There is no disk space for the song", "try again later", after=30
        ) from error


def _read_options(members: dict[str, Any]) -> Options:
    options = members.get("options") or {}
    if not isinstance(options, dict):
        raise bad_value("options", options, "an object")
    if members.get("model"):
        options = options | {"model": members["model"]}
    return Options.of_request(options)


def _store_callback(ctx: Context, callback: Any) -> str:
    """Write the callback to the bus and return its id; "" if there is none. Raises Problem."""
    if callback is None:
        return ""
    if not isinstance(callback, dict) or not set(callback) <= {"url", "data"}:
        raise bad_hidden_value("callback", "an object with the member url, and optionally data")
    url = webhook_urls.check_url(callback.get("url"), "callback.url", ctx.settings.allow_private)
    text = json.dumps(callback, sort_keys=True)
    if len(text) > MAX_CALLBACK_BYTES:
        raise bad_hidden_value("callback", f"at most {MAX_CALLBACK_BYTES} bytes of JSON")
    id_ = sha256(text.encode()).hexdigest()[:32]
    record = CallbackRecord(url=url, data=callback.get("data"), created=now())
    ctx.bus.put(WEBHOOKS, callback_key(id_), record.write())
    return id_


def _is_separated(ctx: Context, key: str, options: Options) -> bool:
    """Return whether all stems of the song with these options are in the output bucket."""
    manifest = read_manifest(ctx.stems, key)
    if manifest is None or manifest.options != options.changed():
        return False
    stored = {item.object_name for item in ctx.stems.list(f"{key}/", recursive=False)}
    return all(stem.key in stored for stem in manifest.stems)


def _store_song(
    ctx: Context, key: str, file: BinaryIO, size: int, options: Options, callback_id: str
) -> None:
    metadata = options.metadata() | ({"callback": callback_id} if callback_id else {})
    written = ctx.songs.put(key, file, size, _CONTENT_TYPE, metadata)
    song = ObjectCreated(
        bucket=ctx.songs.name,
        key=key,
        size=size,
        etag=written.etag or "",
        version=written.version_id or "",
        time=now(),
        content_type=_CONTENT_TYPE,
        metadata=metadata,
    )
    record = JobRecord.of(song)
    # The queue then shows the job at once; otherwise the bridge creates the same record later.
    with suppress(RevisionConflict, RetryLater):
        revision = ctx.bus.create(JOBS, record.id, record.write())
        ctx.jobs.apply_own_write(Entry(record.id, record.write(), revision))
