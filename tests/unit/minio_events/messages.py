"""Messages of the functions to each other, as docs/events.md has them."""

from microdemucs.events import ObjectCreated, record_of

STARTED = {
    "job": "5d41402abc4b2a76b9719d911017c592",
    "trace": "0af7651916cd43dd8448eb211c80319c",
    "song": {"bucket": "songs", "key": "dir/a ü.mp3", "etag": "e", "version": "", "size": 1},
    "options": {},
    "model": "htdemucs_tiny",
    "started": "2026-11-22T17:25:34.612Z",
}
DELIVERY = {"delivery": "msg_1", "target": "w1", "body": "{}", "job": "j", "trace": "a" * 32}
RANGE = {
    "id": "5d41402abc4b2a76b9719d911017c592.0123456789abcdef.3",
    "song": record_of(ObjectCreated("songs", "dir/a ü.mp3", 10, "e1", time="2026-11-22"), "r1"),
    "range": {"number": 3, "of": 24, "plan": "0123456789abcdef"},
    "at_once": 2,
    "heard": {"length": 317520000, "mean": -1.5e-06, "deviation": 0.125, "seconds": 7200.0},
    "trace": "0af7651916cd43dd8448eb211c80319c",
}
