"""POST /apiv1/separate: a song inside JSON becomes an object named after its bytes."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any, BinaryIO

import flask

from functions.upload import json_song_body, webhook_urls
from functions.upload.context import Context, context
from functions.upload.json_documents import DOCUMENT_BYTES, bad, must_be_json, parsed
from microdemucs.bus import JOBS, WEBHOOKS, Entry, RevisionConflict
from microdemucs.events import ObjectCreated
from microdemucs.jobs import JobRecord
from microdemucs.manifest import manifest_key
from microdemucs.options import Options
from microdemucs.problems import RetryLater, now
from microdemucs.store import map_store_errors, read_json

CALLBACK_BYTES = 64 * 1024
_TYPE = "audio/mpeg"

routes = flask.Blueprint("separate", __name__)


@routes.post("/apiv1/separate")
def separate() -> dict[str, str]:
    """Take the song in; the bucket's notification starts its separation."""
    ctx = context()
    # base64 is 4/3 of the bytes, and some encoders write "+" as \\u002B and "/" as \\/
    flask.request.max_content_length = ctx.settings.max_bytes * 8 // 5 + DOCUMENT_BYTES
    must_be_json()
    with _spooled() as file:
        song = json_song_body.Song(file, ctx.settings.max_bytes)
        rest = json_song_body.read(flask.request.stream, song)
        said = parsed(rest, "mp3", "model", "options", "callback")
        if said.get("mp3") != "" or not song.size:
            raise bad("mp3", "the bytes of a song in base64")
        options, callback = _options(said), _callback(ctx, said.get("callback"))
        key = f"{song.sha256}.mp3"
        if not callback and _is_separated(ctx, key, options):
            return {"hash": song.sha256, "reason": "already separated"}
        file.seek(0)
        _put(ctx, key, file, song.size, options, callback)
    return {"hash": song.sha256, "reason": "queued"}


@contextmanager
def _spooled() -> Iterator[BinaryIO]:
    try:
        with tempfile.TemporaryFile(prefix="song-") as file:
            yield file
    except OSError as error:  # the disk is full, or cannot be written
        raise RetryLater("no-room", "There is no room for the song now", after=30) from error


def _options(said: dict[str, Any]) -> Options:
    given = said.get("options") or {}
    if not isinstance(given, dict):
        raise bad("options", "an object")
    if said.get("model"):
        given = given | {"model": said["model"]}
    return Options.of_request(given)


def _callback(ctx: Context, given: Any) -> str:
    """Keep the callback, and give its id; "" where there is none."""
    if given is None:
        return ""
    if not isinstance(given, dict) or not set(given) <= {"url", "data"}:
        raise bad("callback", "an object with url, and data if wanted")
    wanted = {
        "url": webhook_urls.checked(given.get("url"), "callback.url", ctx.settings.allow_private)
    }
    if "data" in given:
        wanted["data"] = given["data"]
    text = json.dumps(wanted, sort_keys=True)
    if len(text) > CALLBACK_BYTES:
        raise bad("callback", f"at most {CALLBACK_BYTES} bytes of JSON")
    id_ = sha256(text.encode()).hexdigest()[:32]
    ctx.bus.put(WEBHOOKS, f"callback.{id_}", json.dumps(wanted | {"created": now()}).encode())
    return id_


def _is_separated(ctx: Context, key: str, options: Options) -> bool:
    """Whether this was separated with these options, and no stem has been removed since."""
    manifest = read_json(ctx.store, ctx.names.stems, manifest_key(key))
    if manifest is None or manifest.get("options") != options.changed():
        return False
    with map_store_errors():
        beside = ctx.store.list_objects(ctx.names.stems, prefix=f"{key}/")
        there = {one.object_name for one in beside}
    return all(stem["key"] in there for stem in manifest["stems"])


def _put(
    ctx: Context, key: str, file: BinaryIO, size: int, options: Options, callback: str
) -> None:
    metadata = options.metadata() | ({"callback": callback} if callback else {})
    with map_store_errors():
        put = ctx.store.put_object(
            ctx.names.songs, key, file, size, content_type=_TYPE, metadata=dict(metadata)
        )
    song = ObjectCreated(
        bucket=ctx.names.songs,
        key=key,
        size=size,
        etag=put.etag or "",
        version=put.version_id or "",
        time=now(),
        content_type=_TYPE,
        metadata=metadata,
    )
    record = JobRecord.of(song)
    # so that the queue shows it at once; the bridge does the same when it hears of it
    with suppress(RevisionConflict, RetryLater):
        revision = ctx.bus.create(JOBS, record.id, record.write())
        ctx.jobs.wrote(Entry(record.id, record.write(), revision))
