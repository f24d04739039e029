"""A manifest, a failure and a started message as JSON objects, as the separate function writes
them.
"""

from typing import Any

SONG = {"bucket": "songs", "key": "dir/a b+ü.mp3", "etag": "e1", "version": "", "size": 7}
MANIFEST: dict[str, Any] = {
    "job": "j" * 32,
    "trace": "t" * 32,
    "song": {**SONG, "sha256": "5" * 64, "seconds": 1.5},
    "options": {"format": "flac"},
    "model": {"name": "htdemucs_tiny", "note": "limited quality"},
    "stems": [
        {
            "name": "drums",
            "key": "dir/a b+ü.mp3/drums.flac",
            "size": 3,
            "content_type": "audio/flac",
        }
    ],
    "callback": "",
    "warnings": [],
    "created": "2026-03-01T12:00:00.000Z",
    "started": "2026-03-01T12:00:01.000Z",
    "finished": "2026-03-01T12:00:09.000Z",
    "timings": {"separating": 8.0},
}
FAILURE: dict[str, Any] = {
    "type": "urn:micro-demucs:problem:bad-option",
    "title": "An option has a value it does not accept",
    "status": 422,
    "detail": "format is 'mp4'; it accepts mp3, flac, wav",
    "option": "format",
    "job": "j" * 32,
    "trace": "t" * 32,
    "song": SONG,
    "options": {"format": "mp4"},
    "callback": "",
    "created": "2026-03-01T12:00:00.000Z",
    "started": "2026-03-01T12:00:01.000Z",
    "finished": "2026-03-01T12:00:09.000Z",
}
STARTED_MESSAGE: dict[str, Any] = {
    "job": "j" * 32,
    "trace": "t" * 32,
    "song": SONG,
    "options": {},
    "model": "htdemucs_tiny",
    "started": "2026-03-01T12:00:01.000Z",
}
