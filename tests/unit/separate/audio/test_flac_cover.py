import io

import pytest

from functions.separate.audio.flac_cover import FlacWithCover, picture_block

COVER = b"\x89PNG" + bytes(100)
BLOCK = picture_block(COVER)
HEAD, REST = bytes(range(42)), bytes(range(100, 200))


@pytest.mark.parametrize("step", [1, 4, 41, 42, 43, 200])
def test_the_block_is_behind_the_first_one_however_the_rest_is_written(step: int) -> None:
    written = io.BytesIO()
    file = FlacWithCover(written, COVER)
    whole = HEAD + REST
    for start in range(0, len(whole), step):
        assert file.write(whole[start : start + step]) == len(whole[start : start + step])
    assert written.getvalue() == HEAD + BLOCK + REST
    assert file.tell() == len(whole)


def test_what_is_written_later_in_the_first_block_replaces_it() -> None:
    written = io.BytesIO()
    file = FlacWithCover(written, COVER)
    file.write(HEAD + REST)
    file.seek(8)
    file.write(b"12345")
    assert file.seek(0, io.SEEK_END) == len(HEAD + REST)
    assert written.getvalue() == HEAD[:8] + b"12345" + HEAD[13:] + BLOCK + REST
