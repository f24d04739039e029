"""Messages between the functions, in the forms of docs/events.md."""

from typing import Any

from microdemucs.events import ObjectCreated, record_of

STARTED: dict[str, Any] = {
    "job": "5d41402abc4b2a76b9719d911017c592",
    "trace": "0af7651916cd43dd8448eb211c80319c",
    "song": {"bucket": "songs", "key": "dir/a ü.mp3", "etag": "e", "version": "", "size": 1},
    "options": {},
    "model": "htdemucs_tiny",
    "started": "2026-11-22T17:25:34.612Z",
}
FINISHED: dict[str, Any] = {
    "job": "5d41402abc4b2a76b9719d911017c592",
    "trace": "0af7651916cd43dd8448eb211c80319c",
    "callback": "c" * 32,
    "key": "dir/a ü.mp3/failure.json",
    "document": "{}",
}
DELIVERY: dict[str, Any] = {
    "delivery": "msg_1",
    "target": "w1",
    "receiver": "https://hooks.example",
    "body": "{}",
    "job": "j",
    "trace": "a" * 32,
    "created": "2026-11-22T17:25:34.612Z",
    "attempt": 1,
}
SONG_RECORD = record_of(ObjectCreated("songs", "dir/a ü.mp3", 10, "e1", time="2026-11-22"), "r1")
RANGE: dict[str, Any] = {
    "id": "5d41402abc4b2a76b9719d911017c592.0123456789abcdef.3",
    "song": SONG_RECORD,
    "range": {"number": 3, "of": 24, "plan": "0123456789abcdef"},
    "at_once": 2,
    "audio": {
        "container": "mp3",
        "codec": "mp3float",
        "sample_rate": 44100,
        "channels": 2,
        "seconds": 7200.0,
        "declared_seconds": 7200.0,
        "packets": 275625,
        "bad_packets": 0,
        "length": 317520000,
        "mean": -1.5e-06,
        "standard_deviation": 0.125,
    },
    "trace": "0af7651916cd43dd8448eb211c80319c",
}
REQUEUE: dict[str, Any] = {"Records": [SONG_RECORD], "trace": "0af7651916cd43dd8448eb211c80319c"}
