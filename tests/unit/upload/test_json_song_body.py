import io
import json
from base64 import b64encode
from hashlib import sha256

import pytest

from functions.upload import json_song_body
from functions.upload.song_file import SongFile
from microdemucs.problems import Problem

SONG = bytes(range(256)) * 41 + b"end"  # its base64 has padding, "+" and "/"
TEXT = b64encode(SONG).decode()


class ChunkedBody:
    """A body that arrives in chunks of `size` bytes."""

    def __init__(self, text: bytes, size: int) -> None:
        self.unread = io.BytesIO(text)
        self.size = size

    def read(self, _: int) -> bytes:
        return self.unread.read(self.size)


def read(text: str | bytes, size: int = 10**9, max_bytes: int = 10**6) -> tuple[str, bytes]:
    """Return the rest of the body, and the song in it."""
    file = io.BytesIO()
    song = SongFile(file, max_bytes)
    body = ChunkedBody(text.encode() if isinstance(text, str) else text, size)
    rest = json_song_body.extract_song(body, json_song_body.SongDecoder(song))
    assert song.sha256 == sha256(file.getvalue()).hexdigest()
    assert song.size == len(file.getvalue())
    return rest.decode(), file.getvalue()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 1000, 4096, 10**9])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"mp3": TEXT, "model": "htdemucs", "options": {"shifts": 1}}),
        json.dumps({"options": {"stems": ["drums", "mp3"]}, "model": "x", "mp3": TEXT}),
        json.dumps(
            {"callback": {"mp3": "not this", "data": ["mp3", {"mp3": "nor this"}]}, "mp3": TEXT}
        ),
        json.dumps({"model": "mp3", "a": 'x"mp3":"', "é\n\\": "\\", "mp3": TEXT}, indent=2),
        '{"mp3" :\n "' + TEXT.replace("/", "\\/") + '"}',
        '{"m\\u0070\\u0033":"' + TEXT.replace("+", "\\u002B").replace("=", "\\u003d") + '"}',
    ],
    ids=["first", "last", "nested", "quotes", "escaped-slash", "escaped-unicode"],
)
def test_the_song_is_extracted_wherever_it_is_and_chunks_end(text: str, size: int) -> None:
    rest, song = read(text, size)
    assert song == SONG
    assert json.loads(rest) == json.loads(text) | {"mp3": ""}


@pytest.mark.parametrize("size", [1, 7, 10**9])
@pytest.mark.parametrize(
    ("inside", "status", "kind"),
    [
        ("QUJD\\nQUJD", 422, "not-base64"),
        ("QUJD QUJD", 422, "not-base64"),
        ("QUJD\nQUJD", 422, "not-base64"),
        ("QUJDQ", 422, "not-base64"),
        ("QUI=QUJD", 422, "not-base64"),
        ("QUI", 422, "not-base64"),
        ("Q===", 422, "not-base64"),
        ("====", 422, "not-base64"),
        ("QU-_", 422, "not-base64"),
        ('QUJD\\"QUJD', 422, "not-base64"),
        ("QUJD\\\\QUJD", 422, "not-base64"),
        ("data:audio/mpeg;base64,QUJD", 422, "not-base64"),
        ("QUJD" * 300_000, 413, "too-large"),
    ],
)
def test_anything_but_base64_is_rejected(inside: str, status: int, kind: str, size: int) -> None:
    if size == 1 and len(inside) > 1000:
        size = 1000
    with pytest.raises(Problem) as raised:
        read('{"mp3": "' + inside + '"}', size, max_bytes=10_000)
    assert (raised.value.status, raised.value.kind) == (status, kind)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"mp3": "QUJD',
        '{"mp3": "QUJD"',
        '{"mp3" "QUJD"}',
        '{"mp3": "QUJD" "x"}',
        '["mp3": "QUJD"]',
        '{"mp3": "QUJD"}}',
        '{"mp3": QUJD}',
        '{"mp3": "QUJD"} {}',
    ],
)
def test_invalid_json_stays_invalid(text: str) -> None:
    rest, _ = read(text, 1)
    with pytest.raises(json.JSONDecodeError):
        json.loads(rest)


def test_a_second_song_stays_in_the_rest() -> None:
    assert read('{"mp3": "QUJD", "mp3": "QUJE"}') == ('{"mp3": "", "mp3": "QUJE"}', b"ABC")


def test_a_song_below_the_top_level_stays_in_the_rest() -> None:
    assert read('[{"mp3": "QUJD"}]') == ('[{"mp3": "QUJD"}]', b"")


@pytest.mark.parametrize(
    "text",
    [
        '{"mp3": "QUJD", "model": "' + "x" * 2**21 + '"}',
        '{"' + "x" * 2**21,
        "[" * 2**21,
        " " * 2**21,
        '{"model": "' + "\\\\" * 2**20 + '"}',
    ],
)
def test_the_rest_of_the_body_has_a_limit(text: str) -> None:
    with pytest.raises(Problem) as raised:
        read(text, json_song_body.CHUNK_BYTES)
    assert (raised.value.status, raised.value.kind) == (413, "body-too-large")


@pytest.mark.parametrize(
    ("inside", "reason"),
    [
        ("QUJDQ", "its length is not a multiple of four"),
        ("QUI=QUJD", "it has other characters"),
        ("QUJD\\\\", "it has a backslash"),
        ("data:audio/mpeg;base64,QUJD", "such as line ends or a data: prefix"),
    ],
)
def test_a_song_that_is_not_base64_is_rejected_with_the_reason(inside: str, reason: str) -> None:
    with pytest.raises(Problem) as raised:
        read('{"mp3": "' + inside + '"}')
    assert raised.value.detail.startswith("mp3 must be base64 (RFC 4648, section 4), but it")
    assert reason in raised.value.detail
