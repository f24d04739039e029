import pytest

from functions.upload.settings import Settings
from functions.upload.tokens import ensure_tokens_set, is_loopback, is_valid_token
from microdemucs.problems import Problem
from microdemucs.settings import ServerSettings


@pytest.mark.parametrize("token", ["first", "second", "dritter-ä"])
def test_each_token_is_valid(token: str) -> None:
    assert is_valid_token(token, ("first", "second", "dritter-ä"))


@pytest.mark.parametrize("token", ["", "firs", "first ", "FIRST", "first,second"])
def test_anything_else_is_not_valid(token: str) -> None:
    assert not is_valid_token(token, ("first", "second"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "LocalHost"])
def test_loopback_addresses_are_recognised(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "localhost.x", ""])
def test_other_addresses_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


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
