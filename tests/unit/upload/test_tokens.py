import pytest

from functions.upload.settings import Settings
from functions.upload.tokens import ensure_tokens_set, is_valid_token
from microdemucs.problems import Problem
from microdemucs.settings import ServerSettings


@pytest.mark.parametrize("token", ["first", "second", "dritter-ä"])
def test_each_token_is_valid(token: str) -> None:
    assert is_valid_token(token, ("first", "second", "dritter-ä"))


@pytest.mark.parametrize("token", ["", "firs", "first ", "FIRST", "first,second"])
def test_anything_else_is_not_valid(token: str) -> None:
    assert not is_valid_token(token, ("first", "second"))


def settings(host: str, *tokens: str) -> Settings:
    return Settings(server=ServerSettings(host=host), tokens=tokens)


def test_tokens_are_required_if_other_machines_can_connect() -> None:
    with pytest.raises(Problem) as raised:
        ensure_tokens_set(settings("0.0.0.0"))
    assert (raised.value.status, raised.value.kind) == (503, "no-tokens")
    assert raised.value.detail == (
        "HOST is 0.0.0.0, which other machines can reach: set API_TOKENS to one or more tokens, "
        "separated by commas, or HOST to 127.0.0.1"
    )


def test_tokens_are_optional_on_loopback() -> None:
    ensure_tokens_set(settings("127.0.0.1"))
    ensure_tokens_set(settings("0.0.0.0", "token"))
