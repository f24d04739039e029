"""Read the body of POST /apiv1/separate in each form that it may have.

The form is one of: JSON with the song as base64, multipart/form-data, and the song's own bytes.
The song goes to a file while it arrives; it is never in memory as a whole.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Any, cast

import flask
from werkzeug.datastructures import CombinedMultiDict, FileStorage
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from functions.upload import json_song_body
from functions.upload.json_documents import (
    MAX_DOCUMENT_BYTES,
    bad_hidden_value,
    bad_value,
    describe,
    optional_object,
    parse_document,
    parse_object,
)
from functions.upload.song_file import SongFile
from microdemucs.problems import Problem

FILE_PART = "file"
MAX_PARTS = 50
DEFAULT_TYPE = "audio/mpeg"

_AUDIO_TYPE = re.compile(r"audio/[\w.+-]{1,100}")
_RAW_TYPE = re.compile(r"(audio|video)/[\w.+-]{1,100}|application/(ogg|octet-stream)")
_ACCEPTED = (
    "application/json, multipart/form-data, audio/*, video/*, application/ogg or "
    "application/octet-stream"
)


@dataclass(frozen=True, slots=True)
class SongBody:
    """A request's body, without the song. `content_type` is the type to store the song with.

    `options` and `callback` are as the caller wrote them; they are not checked yet.
    """

    content_type: str
    options: dict[str, Any]
    callback: Any = None


def read_body(song: SongFile) -> SongBody:
    """Write the song of this request to `song`, and return the rest of the body.

    Raises Problem: 400 if the body is malformed, 413 if it is too large, 415 if its type is not
    accepted, 422 if it has no song or an unexpected member.
    """
    request = flask.request
    if request.is_json:
        return _read_json(song)
    if request.mimetype == "multipart/form-data":
        return _read_multipart(song)
    if _RAW_TYPE.fullmatch(request.mimetype):
        return _read_raw(song)
    raise Problem(
        415,
        "unsupported-type",
        "The body has a type that is not accepted",
        f"Content-Type is {describe(request.content_type)}; send {_ACCEPTED}",
        accepts=_ACCEPTED,
    )


def audio_type(content_type: str | None) -> str:
    """Return the media type if it is an audio type, else DEFAULT_TYPE."""
    declared = (content_type or "").partition(";")[0].strip().lower()
    return declared if _AUDIO_TYPE.fullmatch(declared) else DEFAULT_TYPE


def _read_json(song: SongFile) -> SongBody:
    # Base64 takes 4/3 of the bytes, and some encoders write "+" as \\u002B and "/" as \\/
    flask.request.max_content_length = song.max_bytes * 8 // 5 + MAX_DOCUMENT_BYTES
    decoder = json_song_body.SongDecoder(song)
    rest = json_song_body.extract_song(flask.request.stream, decoder)
    members = parse_document(rest, "mp3", "model", "options", "callback")
    if members.get("mp3") != "" or not song.size:
        raise bad_value("mp3", members.get("mp3"), "the bytes of a song in base64")
    options = optional_object(members, "options")
    if members.get("model") not in (None, ""):
        options = options | {"model": members["model"]}
    return SongBody(DEFAULT_TYPE, options, members.get("callback"))


def _read_multipart(song: SongFile) -> SongBody:
    flask.request.max_content_length = song.max_bytes + MAX_DOCUMENT_BYTES
    stream = (
        flask.request.stream
    )  # raises RequestEntityTooLarge if the declared length is too large
    files: list[SongFile] = []

    def open_file(*_: object, **__: object) -> IO[bytes]:
        if files:
            raise bad_hidden_value(FILE_PART, "the only part with a file name")
        files.append(song)
        return cast(IO[bytes], song)

    parser = FormDataParser(
        open_file,
        max_form_memory_size=MAX_DOCUMENT_BYTES,
        max_form_parts=MAX_PARTS,
        silent=False,
    )
    try:
        _, fields, parts = parser.parse(
            stream,
            flask.request.mimetype,
            flask.request.content_length,
            flask.request.mimetype_params,
        )
    except RequestEntityTooLarge:
        raise Problem(
            413,
            "body-too-large",
            "The request body is too large",
            f"at most {MAX_PARTS} parts, and {MAX_DOCUMENT_BYTES} bytes beside the song, are "
            "accepted",
            limit=MAX_DOCUMENT_BYTES,
        ) from None
    except ValueError as error:
        raise Problem(
            400, "malformed-form", "The body is not valid multipart/form-data", str(error)
        ) from None
    part: FileStorage | None = parts.get(FILE_PART)
    if part is None or not song.size:
        found = ", ".join(map(describe, [*fields, *parts])) or "no part"
        accepts = "a part with a file name and the bytes of a song"
        raise bad_hidden_value(FILE_PART, accepts, f"the body has {found}")
    return _body_of_fields(part.content_type, CombinedMultiDict([flask.request.args, fields]))


def _read_raw(song: SongFile) -> SongBody:
    length = flask.request.content_length  # None if the body comes in chunks
    song.ensure_fits(length or 0)
    flask.request.max_content_length = song.max_bytes + MAX_DOCUMENT_BYTES
    body = _body_of_fields(flask.request.content_type, flask.request.args)
    while chunk := flask.request.stream.read(json_song_body.CHUNK_BYTES):
        song.write(chunk)
    if length is not None and song.size != length:  # the server does not notice
        raise Problem(
            400,
            "incomplete-body",
            "The request body is incomplete",
            f"it has {song.size} of {length} bytes: the connection was closed too early",
        )
    if not song.size:
        raise bad_value("body", None, "the bytes of a song")
    return body


def _body_of_fields(content_type: str | None, fields: Any) -> SongBody:
    """Return the body that form fields or query parameters describe (a MultiDict of texts)."""
    members: dict[str, str] = {}
    values: Iterable[str]
    for name, values in fields.lists():
        first, *others = values
        if others:
            raise bad_value(name, [first, *others], "given once")
        members[name] = first
    options = parse_object("options", members.pop("options", "") or "{}")
    callback: Any = members.pop("callback", "").strip() or None
    if callback:
        is_json = callback.startswith("{")
        callback = parse_object("callback", callback) if is_json else {"url": callback}
    return SongBody(audio_type(content_type), options | members, callback)
