from base64 import b64decode, b64encode
from typing import Any

import pytest

from functions.upload.webhooks import check_secret
from microdemucs.problems import Problem


def encoded(size: int) -> str:
    return "whsec_" + b64encode(b"x" * size).decode()


def test_a_new_secret_has_32_random_bytes() -> None:
    first, second = check_secret(None), check_secret(None)
    assert first != second
    assert len(b64decode(first.removeprefix("whsec_"))) == 32


@pytest.mark.parametrize("size", [24, 64])
def test_a_secret_of_24_to_64_bytes_is_accepted(size: int) -> None:
    assert check_secret(encoded(size)) == encoded(size)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        5,
        "secret",
        "whsec_",
        "whsec_!",
        b64encode(b"x" * 32).decode(),
        encoded(23),
        encoded(65),
    ],
)
def test_another_secret_is_rejected(secret: Any) -> None:
    with pytest.raises(Problem) as raised:
        check_secret(secret)
    assert raised.value.detail == (
        "secret must be whsec_ followed by base64 of 24 to 64 random bytes"
    )
