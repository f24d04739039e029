from dataclasses import dataclass, field

import pytest

from microdemucs.settings import (
    BadSetting,
    Parse,
    StoreSettings,
    declarations,
    flag,
    number,
    one_of,
    required,
    setting,
    text,
    url_with_host,
    whole,
)


@dataclass(frozen=True, slots=True)
class Limits:
    seconds: float = setting("TEST_SECONDS", "30", number(1, 60), "how long")
    token: str = setting("TEST_TOKEN", "", required, "a token", secret=True)
    public: str = setting("TEST_PUBLIC", "none", text, "a name", fallback="TEST_PRIVATE")


@dataclass(frozen=True, slots=True)
class Settings:
    limits: Limits = field(default_factory=Limits)
    mode: str = setting("TEST_MODE", "auto", one_of("auto", "fast"), "how")


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_TOKEN", "s3cret")


def test_a_variable_that_is_not_set_is_the_default() -> None:
    assert Limits().seconds == 30


def test_an_empty_variable_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SECONDS", "")
    assert Limits().seconds == 30


def test_a_variable_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SECONDS", "1.5")
    assert Limits().seconds == 1.5


def test_a_value_that_is_passed_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SECONDS", "soon")
    assert Limits(seconds=5).seconds == 5


def test_the_fallback_is_another_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PRIVATE", "b")
    assert Limits().public == "b"
    monkeypatch.setenv("TEST_PUBLIC", "a")
    assert Limits().public == "a"


def test_an_error_names_the_setting_its_value_and_what_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_SECONDS", "soon")
    with pytest.raises(BadSetting) as error:
        Settings()
    assert str(error.value) == "TEST_SECONDS is 'soon': must be a number from 1 to 60"


def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "s3cret" not in repr(Limits())
    monkeypatch.setenv("TEST_TOKEN", "")
    with pytest.raises(BadSetting) as error:
        Limits()
    assert str(error.value) == "TEST_TOKEN must be set"


def test_declarations_include_those_of_nested_settings() -> None:
    declared = [one.name for one in declarations(Settings)]
    assert declared == ["TEST_SECONDS", "TEST_TOKEN", "TEST_PUBLIC", "TEST_MODE"]


@pytest.mark.parametrize(
    ("parse", "value", "parsed"),
    [
        (number(0), "0", 0.0),
        (whole(1, 9), "9", 9),
        (whole(), "1000\n", 1000),  # of a file
        (whole(), "1e+06", 1_000_000),  # of Helm
        (number(0), " 0.5", 0.5),
        (flag, "Yes", True),
        (flag, "off", False),
        (url_with_host, "http://store:9000/", "http://store:9000"),
        (one_of("a", "b"), "b", "b"),
    ],
)
def test_a_value_that_is_accepted(parse: Parse, value: str, parsed: object) -> None:
    assert parse(value) == parsed


@pytest.mark.parametrize(
    ("parse", "value", "accepted"),
    [
        (number(0), "nan", "a number of at least 0"),
        (number(0), "inf", "a number of at least 0"),
        (number(0), "-1", "a number of at least 0"),
        (whole(1, 9), "2.5", "a whole number from 1 to 9"),
        (whole(1, 9), "10", "a whole number from 1 to 9"),
        (whole(), "1_000", "a whole number of at least 0"),
        (whole(), "5.5", "a whole number of at least 0"),
        (number(0), "1_0.5", "a number of at least 0"),
        (number(0), "+5", "a number of at least 0"),
        (number(0), "\u0665", "a number of at least 0"),
        (flag, "maybe", "yes or no"),
        (url_with_host, "here", "a URL with a host, such as http://127.0.0.1:9000"),
        (url_with_host, "", "a URL with a host, such as http://127.0.0.1:9000"),
        (one_of("a", "b"), "c", "one of a, b"),
        (required, "", "set"),
    ],
)
def test_a_value_that_is_not_accepted(parse: Parse, value: str, accepted: str) -> None:
    with pytest.raises(ValueError, match=accepted):
        parse(value)


def test_the_public_url_of_the_store_is_its_url_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_URL", "http://store:9000")
    assert StoreSettings().public_url == "http://store:9000"
