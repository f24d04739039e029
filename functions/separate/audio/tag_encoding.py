"""Find out the encoding of a song's tags, and decode them.

ID3v1 and RIFF INFO do not say their encoding, and many programs wrote the encoding of their country
where ID3v2 says Latin-1. This runs in the parent: the tags are only text.
"""

import re
from collections.abc import Mapping

MAX_CHARACTERS = 500
_PLAIN = ("bpm", "date", "key")  # ASCII, whatever the language of the others
_RAW = "latin-1"  # the decoder's child passes each byte on as one character

_WESTERN = "cp1252"
_LATIN = (_WESTERN, "cp1250", "cp1254")
_ONE_BYTE = ("cp1251", "koi8-r", "cp1253", "cp1255", "cp1256", "cp874")
_ENCODINGS = (
    *("utf-8", "cp932", "euc_jis_2004", "gb18030", "big5hkscs", "cp949"),
    *_ONE_BYTE,
    *_LATIN,
)
_MIN_LATIN_CONFIDENCE = 0.06  # below, Central European and Turkish are a guess among accents
_MIN_FOREIGN_CHARACTERS = 4  # fewer may be Latin-1 as well
_ID3V1_BYTES = 30  # it cuts longer texts, in the middle of a character too
# Other bytes than ASCII, and cp1252's single dashes, quotation marks, … and ™
_MORE_THAN_PUNCTUATION = re.compile(rb"[\x80-\x84\x86-\x90\x98\x9a-\xff]|[\x80-\xff]{2}")
_CONTROLS = re.compile("[\x80-\x9f]")
# Letters of two scripts in one word: a sign of a wrong guess
_MIXED_WORD = re.compile(r"[A-Za-z](?=[Ͱ-\uffff])\w|(?=[Ͱ-\uffff])\w[A-Za-z]")


def decode_tags(raw: Mapping[str, str]) -> dict[str, str]:
    """Return the texts of `raw` tags, whose characters are bytes; empty ones are left out.

    What is UTF-8 is read as that. The encoding of the rest is guessed from all of it together.
    """
    plain = {name: raw[name] for name in _PLAIN if name in raw}
    raw = {name: text for name, text in raw.items() if name not in plain}
    texts = {name: _decode_utf_8(text.encode(_RAW, "replace")) for name, text in raw.items()}
    unknown = {
        name: text.encode(_RAW, "replace") for name, text in raw.items() if texts[name] is None
    }
    if unknown:
        encoding = _guess(list(unknown.values()))
        texts |= {name: data.decode(encoding, "ignore") for name, data in unknown.items()}
    else:
        texts = _without_mojibake(texts)
    cleaned = {name: _clean(text) for name, text in (texts | plain).items()}
    return {name: text for name, text in cleaned.items() if text}


def _clean(text: str | None) -> str:
    printable = "".join(char for char in text or "" if char.isprintable())
    return printable.strip()[:MAX_CHARACTERS]


def _decode_utf_8(data: bytes) -> str | None:
    """Return `data` as UTF-8; None if it is not. A last character may be cut."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        is_cut = len(data) == _ID3V1_BYTES and error.reason == "unexpected end of data"
        return data[: error.start].decode() if is_cut and error.start else None


def _without_mojibake(texts: Mapping[str, str | None]) -> dict[str, str | None]:
    """Decode again what says that it is Latin-1, but is all in another script."""
    whole = "\n".join(text for text in texts.values() if text)
    has_controls = bool(_CONTROLS.search(whole))  # Latin-1 has them, but no text
    foreign = sum(not char.isascii() for char in whole)
    english = sum(char.isascii() and char.isalpha() for char in whole)
    is_foreign = foreign >= max(_MIN_FOREIGN_CHARACTERS, english)
    if not (is_foreign or has_controls) or max(whole) > "\xff":
        return dict(texts)
    encoded = {name: (text or "").encode("latin-1") for name, text in texts.items()}
    encoding = _guess(list(encoded.values()))
    if encoding in _LATIN and not has_controls:
        return dict(texts)
    decoded = {name: data.decode(encoding, "replace") for name, data in encoded.items()}
    is_wrong = any(_MIXED_WORD.search(text) or "\ufffd" in text for text in decoded.values())
    return dict(texts) if is_wrong else dict(decoded)


def _guess(fields: list[bytes]) -> str:
    """Return the most likely encoding of the fields."""
    import chardet  # takes 0.1 s, and few songs need it

    whole = b"\n".join(_without_cut_character(field) for field in fields if field)
    if not _MORE_THAN_PUNCTUATION.search(whole):
        return _WESTERN
    found = chardet.detect(whole, include_encodings=_ENCODINGS, compat_names=False)
    encoding = found["encoding"] or _WESTERN
    text = whole.decode(encoding, "replace")
    is_doubtful = encoding in _LATIN and found["confidence"] < _MIN_LATIN_CONFIDENCE
    is_mixed = encoding in _ONE_BYTE and _MIXED_WORD.search(text)
    if is_doubtful or is_mixed:
        return _WESTERN
    # capitals of the one are small letters of the other
    return "cp1251" if encoding == "koi8-r" and text == text.lower() else encoding


def _without_cut_character(field: bytes) -> bytes:
    is_cut = len(field) == _ID3V1_BYTES and field[-1] >= 0x80
    return field[:-1] if is_cut else field
