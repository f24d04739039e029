"""POST /apiv1/separate: a song becomes an object named after its SHA-256."""

import json
import secrets
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import flask
from msgspec import structs

from functions.upload import idempotency, models, tokens, webhook_urls
from functions.upload.context import Context, context
from functions.upload.declared_seconds import declared_seconds
from functions.upload.jobs_view import VersionedRecord
from functions.upload.json_documents import bad_hidden_value
from functions.upload.song_body import read_body
from functions.upload.song_file import SongFile, open_song_file
from microdemucs.bus import JOBS, WEBHOOKS, Entry, RevisionConflict
from microdemucs.events import ObjectCreated
from microdemucs.jobs import FINISHED, JobRecord, JobState
from microdemucs.manifest import Manifest
from microdemucs.options import Options
from microdemucs.problems import RetryLater, now
from microdemucs.result_store import read_manifest
from microdemucs.webhooks import CALLBACK_KEYS, CallbackRecord, callback_key

MAX_CALLBACK_BYTES = 64 * 1024

routes = flask.Blueprint("separations", __name__)


@dataclass(frozen=True, slots=True)
class _Request:
    """A checked request. `callback_digest` is "" if there is no callback."""

    song: SongFile
    content_type: str
    options: Options
    callback_digest: str
    callback: CallbackRecord | None

    @property
    def key(self) -> str:
        """The key of the song's object. The decoder looks at the bytes, not at the suffix."""
        return f"{self.song.sha256}.mp3"

    @property
    def digest(self) -> str:
        """The same for every request that asks for the same."""
        return idempotency.digest(self.song.sha256, self.options.changed(), self.callback_digest)


@routes.post("/apiv1/separate")
def separate_song() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Store the song; the bucket's notification then starts its separation."""
    ctx = context()
    key = idempotency.read_key()
    ctx.upload_space.ensure_free(_least_song_bytes(ctx.settings.max_bytes))
    with open_song_file(ctx.settings.max_bytes, ctx.upload_space) as song:
        body = read_body(song)
        options = Options.of_request(body.options)
        models.ensure_usable(options)
        ctx.work_limit.check_least(declared_seconds(song) or 0, options)
        request = _Request(song, body.content_type, options, *_read_callback(ctx, body.callback))
        if key:
            caller_key = idempotency.digest(tokens.caller_token(), key)
            answer = idempotency.answer_once(
                ctx.bus, caller_key, request.digest, lambda: _separate(ctx, request)
            )
        else:
            answer = _separate(ctx, request)
    return answer, 200, {"Location": f"/apiv1/jobs/{answer['job']}"}


def _least_song_bytes(max_bytes: int) -> int:
    """Return how large this request's song is at least, if the length of its body is known.

    A song that is larger than `max_bytes` is rejected while it arrives.
    """
    declared = flask.request.content_length or 0
    return min(declared * 3 // 4, max_bytes)  # base64 takes 4/3 of the bytes


def _read_callback(ctx: Context, callback: Any) -> tuple[str, CallbackRecord | None]:
    """Return the callback's digest and record; "" and None if there is none. Raises Problem."""
    if callback is None:
        return "", None
    if not isinstance(callback, dict) or not set(callback) <= {"url", "data"}:
        raise bad_hidden_value("callback", "an object with the member url, and optionally data")
    url = webhook_urls.check_url(callback.get("url"), "callback.url", ctx.settings.allow_private)
    text = json.dumps(callback, sort_keys=True)
    if len(text) > MAX_CALLBACK_BYTES:
        raise bad_hidden_value("callback", f"at most {MAX_CALLBACK_BYTES} bytes of JSON")
    digest = sha256(text.encode()).hexdigest()[:32]
    return digest, CallbackRecord(url=url, data=callback.get("data"), created=now())


def _separate(ctx: Context, request: _Request) -> idempotency.Answer:
    """Store the song, unless its stems exist and nobody is to be called. Return the answer."""
    manifest = _complete_manifest(ctx, request.key, request.options)
    jobs = ctx.jobs.jobs_of(request.song.sha256)
    if manifest and any(_will_replace(job.record, manifest) for job in jobs.values()):
        manifest = None  # the last request counts, so the song is queued behind that job
    if manifest and not request.callback:
        id_, state, reason = manifest.job, JobState.DONE, "already separated"
    else:
        callback_id = _record_callback(ctx, request)
        record = _store_song(ctx, request, callback_id, jobs, has_stems=manifest is not None)
        id_, state, reason = record.id, record.state, "queued"
    return {"hash": request.song.sha256, "reason": reason, "job": id_, "state": state}


def _record_callback(ctx: Context, request: _Request) -> str:
    """Record the request's callback, for this song only; return its new id, or "" without one.

    The song carries the id as metadata, so it must not be guessed, and is no other request's. The
    bus removes the callback after CALLBACK_DAYS. Raises Problem (503) if there are too many.
    """
    if not request.callback:
        return ""
    limit = ctx.settings.max_callbacks
    if ctx.bus.count(WEBHOOKS, CALLBACK_KEYS) >= limit:
        raise RetryLater(
            "too-many-callbacks",
            "There are too many callbacks",
            f"{limit} callbacks are kept, and no more are allowed: use a webhook, or the operator "
            "must raise MAX_CALLBACKS or lower CALLBACK_DAYS",
            after=3600,
        )
    id_ = secrets.token_hex(16)
    record = structs.replace(request.callback, song=request.key)
    seconds = ctx.settings.callback_days * 86400
    ctx.bus.put(WEBHOOKS, callback_key(id_), record.write(), ttl=seconds)
    return id_


def _complete_manifest(ctx: Context, key: str, options: Options) -> Manifest | None:
    """Return the song's manifest if it has these options and all its objects exist, else None."""
    manifest = read_manifest(ctx.stems, key)
    if manifest is None or manifest.options != options.changed():
        return None
    stored = {item.object_name for item in ctx.stems.list(f"{key}/", recursive=False)}
    return manifest if stored >= manifest.objects.keys() else None


def _will_replace(record: JobRecord, manifest: Manifest) -> bool:
    """Return whether an unfinished job, with other options, will replace these stems."""
    return record.state not in FINISHED and record.options != manifest.options


def _store_song(
    ctx: Context,
    request: _Request,
    callback_id: str,
    jobs: dict[str, VersionedRecord],
    has_stems: bool,
) -> JobRecord:
    """Put the song into the input bucket, and return the record of its job.

    `jobs` are the song's jobs so far; `has_stems` tells whether the stems of this job exist.
    """
    metadata = request.options.metadata()
    if callback_id:
        metadata |= {"callback": callback_id}
    metadata |= tokens.submitter_metadata()
    song = request.song
    song.seek(0)
    written = ctx.songs.put(request.key, song.file, song.size, request.content_type, metadata)
    created = ObjectCreated(
        bucket=ctx.songs.name,
        key=request.key,
        size=song.size,
        etag=written.etag or "",
        version=written.version_id or "",
        time=now(),
        content_type=request.content_type,
        metadata=metadata,
    )
    record = JobRecord.of(created)
    return _record_job(ctx, record, jobs.get(record.id), has_stems)


def _record_job(
    ctx: Context, waiting: JobRecord, earlier: VersionedRecord | None, has_stems: bool
) -> JobRecord:
    """Write the record of a job whose song has just been stored, and return the present one.

    The queue then shows the job at once; otherwise the intake creates the same record later.
    `earlier` is the job's record from before the song was stored. If the job had ended, and its
    stems do not exist, it waits again: a client must not take its old state for the new one.
    """
    with suppress(RetryLater):
        if revision := _create(ctx, waiting):
            ctx.jobs.apply_own_write(Entry(waiting.id, waiting.write(), revision))
            return waiting
        state = earlier.record.state if earlier else JobState.WAITING
        if earlier and state in FINISHED and not (state == JobState.DONE and has_stems):
            with suppress(RevisionConflict):  # the job has been picked up meanwhile
                revision = ctx.bus.update(JOBS, waiting.id, waiting.write(), earlier.revision)
                ctx.jobs.apply_own_write(Entry(waiting.id, waiting.write(), revision))
                return waiting
        entry = ctx.bus.get(JOBS, waiting.id)
        if entry and (present := JobRecord.read_or_none(entry.value)):
            return present
    return waiting


def _create(ctx: Context, record: JobRecord) -> int:
    """Write the record and return its revision; 0 if the job has a record."""
    try:
        return ctx.bus.create(JOBS, record.id, record.write())
    except RevisionConflict:
        return 0
