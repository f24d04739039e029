# ruff: noqa: RUF001, these letters are meant
"""Tags of real songs, in the encodings that programs wrote them in."""

import pytest

from functions.separate.audio.tag_encoding import decode_tags

SONGS = {
    "cp932": [
        ("残酷な天使のテーゼ", "高橋洋子", ""),
        ("上を向いて歩こう", "坂本九", "坂本九 ベスト"),
        ("夜に駆ける", "YOASOBI", "THE BOOK"),
        ("津軽海峡・冬景色", "石川さゆり", ""),
    ],
    "euc_jp": [("上を向いて歩こう", "坂本九", "坂本九 ベスト")],
    "gb18030": [
        ("月亮代表我的心", "邓丽君", "岛国之情歌第四集"),
        ("青花瓷", "周杰伦", "我很忙"),
        ("爱", "莫文蔚", ""),
    ],
    "big5": [("小幸運", "田馥甄", "我的少女時代"), ("江南", "林俊傑", "第二天堂")],
    "cp949": [("강남스타일", "싸이", "싸이6甲"), ("좋은 날", "아이유", "REAL")],
    "cp1251": [
        ("Группа крови", "Кино", "Группа крови"),
        ("Белые розы", "Ласковый май", ""),
        ("НАС НЕ ДОГОНЯТ", "ТАТУ", "200 ПО ВСТРЕЧНОЙ"),
        ("Обійми", "Океан Ельзи", "Земля"),
    ],
    "koi8-r": [("Звезда по имени Солнце", "Виктор Цой", "Звезда")],
    "cp1253": [("Το Τραγούδι των γύφτων", "Χάρις Αλεξίου", "Τα τραγούδια μου")],
    "cp1255": [("ירושלים של זהב", "שולי נתן", "שירי נעמי שמר")],
    "cp1256": [("إنت عمري", "أم كلثوم", "أغاني")],
    "cp874": [("ดอกไม้", "บอดี้สแลม", "ความเชื่อ")],
    "cp1250": [("Małgośka", "Maryla Rodowicz", "Żyj mój świecie"), ("Tavaszi szél", "", "Az idő")],
    "cp1254": [("Şımarık", "Tarkan", "Ölürüm Sana")],
    "cp1252": [
        ("Army of Me", "Björk", ""),
        ("99 Luftballons", "Nena", "Größte Hits"),
        ("Don’t Stop Me Now", "Queen", "Jazz"),
        ("Blå øjne", "Kim Larsen", "Værsgo"),
        ("Déjà Vu", "Beyoncé", "B'Day"),
        ("Ænima", "TOOL", "Ænima"),
        ("Água de Beber", "Tom Jobim", "São Paulo"),
    ],
}
ALL = [(encoding, song) for encoding, songs in SONGS.items() for song in songs]
NAMES = ("title", "artist", "album")


def tags(song: tuple[str, str, str], encoding: str) -> dict[str, str]:
    """The tags as the decoder's child passes them on: a character is a byte."""
    return {
        name: text.encode(encoding).decode("latin-1")
        for name, text in zip(NAMES, song, strict=True)
    }


def texts(song: tuple[str, str, str]) -> dict[str, str]:
    return {name: text for name, text in zip(NAMES, song, strict=True) if text}


@pytest.mark.parametrize(("encoding", "song"), ALL)
def test_the_encoding_is_guessed(encoding: str, song: tuple[str, str, str]) -> None:
    assert decode_tags(tags(song, encoding)) == texts(song)


@pytest.mark.parametrize("song", [song for _, song in ALL])
def test_utf_8_is_never_taken_for_something_else(song: tuple[str, str, str]) -> None:
    assert decode_tags(tags(song, "utf-8")) == texts(song)


@pytest.mark.parametrize(("encoding", "song"), ALL)
def test_a_text_that_id3v1_cuts_is_read_up_to_there(
    encoding: str, song: tuple[str, str, str]
) -> None:
    cut = {name: text[:30] for name, text in tags(song, encoding).items()}
    expected = {
        name: text.encode("latin-1").decode(encoding, "ignore").strip()
        for name, text in cut.items()
        if text
    }
    assert decode_tags(cut) == expected


@pytest.mark.parametrize("encoding", ["cp932", "gb18030", "cp1251", "cp1253", "cp1255", "cp1256"])
def test_a_tag_that_says_latin_1_but_is_not_is_guessed(encoding: str) -> None:
    song = SONGS[encoding][0]  # FFmpeg has made UTF-8 of what it took for Latin-1
    found = {name: text.encode().decode("latin-1") for name, text in tags(song, encoding).items()}
    assert decode_tags(found) == texts(song)


def test_quotation_marks_of_windows_in_latin_1_are_kept() -> None:
    text = "Don’t".encode("cp1252").decode("latin-1").encode().decode("latin-1")
    assert decode_tags({"title": text}) == {"title": "Don’t"}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x81\x8d\x8f\x90", None),
        (b"\xff\xfe\x42\x00\x6a\x00", None),
        (bytes(range(256)), None),
        (b"\xed\xa0\x80", None),
        (b"a\0b\nc", "abc"),
        (b"x" * 999, "x" * 500),
        (b"\x00\x00", ""),
    ],
)
def test_any_bytes_become_a_text(data: bytes, text: str | None) -> None:
    found = decode_tags({"title": data.decode("latin-1")}).get("title", "")
    assert found.isprintable()
    found.encode()
    assert text is None or found == text


def test_tempo_and_key_are_plain_and_tell_nothing_about_the_encoding() -> None:
    title = {"title": "Катюша".encode("cp1251").decode("latin-1")}
    plain = {"bpm": "128", "date": "1999", "key": "F#m"}
    assert decode_tags(title | plain) == {"title": "Катюша"} | plain
