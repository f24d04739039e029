"""Messages of the functions to each other, as docs/events.md has them."""

STARTED = {
    "job": "5d41402abc4b2a76b9719d911017c592",
    "trace": "0af7651916cd43dd8448eb211c80319c",
    "song": {"bucket": "songs", "key": "dir/a ü.mp3", "etag": "e", "version": "", "size": 1},
    "options": {},
    "model": "htdemucs_tiny",
    "started": "2026-11-22T17:25:34.612Z",
}
DELIVERY = {"delivery": "msg_1", "target": "w1", "body": "{}", "job": "j", "trace": "a" * 32}
