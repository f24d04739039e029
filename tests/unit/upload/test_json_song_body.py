import io
import json
from base64 import b64encode
from hashlib import sha256

import pytest

from functions.upload import json_song_body
from microdemucs.problems import Problem

SONG = bytes(range(256)) * 41 + b"end"  # its base64 has padding, "+" and "/"
TEXT = b64encode(SONG).decode()


class Pieces:
    """A body that arrives in pieces of `size` bytes."""

    def __init__(self, text: bytes, size: int) -> None:
        self.left = io.BytesIO(text)
        self.size = size

    def read(self, _: int) -> bytes:
        return self.left.read(self.size)


def read(text: str | bytes, size: int = 10**9, limit: int = 10**6) -> tuple[str, bytes]:
    """What is left of the body, and the song that was in it."""
    file = io.BytesIO()
    song = json_song_body.Song(file, limit)
    rest = json_song_body.read(Pieces(text.encode() if isinstance(text, str) else text, size), song)
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
    ids=["first", "last", "namesake", "quotes", "escaped-slash", "escaped-unicode"],
)
def test_the_song_is_taken_out_wherever_it_stands_and_the_pieces_end(text, size):
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
def test_what_is_no_base64_is_refused(inside, status, kind, size):
    if size == 1 and len(inside) > 1000:
        size = 1000
    with pytest.raises(Problem) as refused:
        read('{"mp3": "' + inside + '"}', size, limit=10_000)
    assert (refused.value.status, refused.value.kind) == (status, kind)


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
def test_broken_json_stays_broken(text):
    rest, _ = read(text, 1)
    with pytest.raises(json.JSONDecodeError):
        json.loads(rest)


def test_a_second_song_stays_where_the_parser_finds_it():
    assert read('{"mp3": "QUJD", "mp3": "QUJE"}') == ('{"mp3": "", "mp3": "QUJE"}', b"ABC")


def test_only_the_top_level_of_an_object_holds_a_song():
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
def test_what_is_beside_the_song_has_a_limit(text):
    with pytest.raises(Problem) as refused:
        read(text, json_song_body.PIECE_BYTES)
    assert (refused.value.status, refused.value.kind) == (413, "body-too-large")
