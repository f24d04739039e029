import io
import json

import pytest

from functions.upload.encoding.stem_atom import add_stem_atom, stem_atom

NAMES = ["drums", "bass", "other", "vocals"]


def atom(name: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + name + content


def with_stem_atom(data: bytes) -> bytes:
    file = io.BytesIO(data)
    add_stem_atom(file, NAMES)
    return file.getvalue()


def test_the_atom_names_and_colours_four_stems() -> None:
    data = stem_atom(NAMES)
    assert int.from_bytes(data[:4], "big") == len(data)
    assert data[4:8] == b"stem"
    content = json.loads(data[8:])
    assert content["version"] == 1
    assert [stem["name"] for stem in content["stems"]] == ["Drums", "Bass", "Other", "Vocals"]
    assert all(len(stem["color"]) == 7 for stem in content["stems"])


def test_the_effects_of_the_sum_are_off() -> None:
    effects = json.loads(stem_atom(NAMES)[8:])["mastering_dsp"]
    assert {name: effect["enabled"] for name, effect in effects.items()} == {
        "compressor": False,
        "limiter": False,
    }


def test_the_atom_goes_into_the_udta_that_exists() -> None:
    head = atom(b"ftyp", b"isom") + atom(b"mdat", bytes(100))
    udta = atom(b"meta", b"title")
    data = with_stem_atom(head + atom(b"moov", atom(b"mvhd", b"x") + atom(b"udta", udta)))
    expected = atom(b"mvhd", b"x") + atom(b"udta", udta + stem_atom(NAMES))
    assert data == head + atom(b"moov", expected)


def test_what_follows_the_udta_stays() -> None:
    moov = atom(b"udta", atom(b"meta", b"")) + atom(b"free", b"123")
    expected = atom(b"udta", atom(b"meta", b"") + stem_atom(NAMES)) + atom(b"free", b"123")
    assert with_stem_atom(atom(b"moov", moov)) == atom(b"moov", expected)


def test_without_a_udta_there_is_a_new_one() -> None:
    expected = atom(b"mvhd", b"x") + atom(b"udta", stem_atom(NAMES))
    assert with_stem_atom(atom(b"moov", atom(b"mvhd", b"x"))) == atom(b"moov", expected)


def test_an_mdat_with_a_size_of_64_bits_is_skipped() -> None:
    mdat = (1).to_bytes(4, "big") + b"mdat" + (116).to_bytes(8, "big") + bytes(100)
    assert with_stem_atom(mdat + atom(b"moov", b"")).startswith(mdat + b"\0\0")


@pytest.mark.parametrize("data", [atom(b"moov", b"") + atom(b"mdat", b"x"), atom(b"mdat", b"")])
def test_a_file_that_does_not_end_with_its_index_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not moov"):
        with_stem_atom(data)
