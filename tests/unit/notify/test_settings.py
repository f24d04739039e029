"""Settings of the notify function that are not accepted."""

import pytest

from functions.notify.deliveries import SCHEDULE
from functions.notify.settings import Settings
from microdemucs.settings import BadSetting

SECRET = "whsec_" + "c2VjcmV0LW9mLWFsbC1jYWxsYmFja3Mtb2YtdGhpcw=="


@pytest.fixture(autouse=True)
def valid_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLBACK_SECRET", SECRET)
    for name in ("PUBLIC_URL", "WEBHOOK_RETRY_SECONDS", "LINK_HOURS", "WEBHOOK_ALLOW_PRIVATE"):
        monkeypatch.delenv(name, raising=False)


BAD_SETTINGS = [
    ("CALLBACK_SECRET", ""),
    ("CALLBACK_SECRET", "whsec_c2hvcnQ="),
    ("CALLBACK_SECRET", SECRET.removeprefix("whsec_")),
    ("WEBHOOK_RETRY_SECONDS", "5,soon"),
    ("WEBHOOK_RETRY_SECONDS", "-5"),
    ("WEBHOOK_RETRY_SECONDS", "nan"),
    ("WEBHOOK_RETRY_SECONDS", "5_0"),
    ("WEBHOOK_RETRY_SECONDS", "5,,7"),
    ("WEBHOOK_RETRY_SECONDS", "604801"),
    ("LINK_HOURS", "169"),
    ("LINK_HOURS", "0"),
    ("LINK_HOURS", "long"),
    ("PUBLIC_URL", "here"),
    ("WEBHOOK_ALLOW_PRIVATE", "perhaps"),
]


@pytest.mark.parametrize(("name", "value"), BAD_SETTINGS)
def test_a_bad_setting_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSetting, match=f"^{name} .*must be "):
        Settings()


def test_the_error_about_a_secret_does_not_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLBACK_SECRET", "whsec_c2hvcnQ=")
    with pytest.raises(BadSetting) as error:
        Settings()
    assert "c2hvcnQ" not in str(error.value)


def test_the_callback_secret_is_not_in_the_representation() -> None:
    settings = Settings()
    assert settings.callback_secret == SECRET
    assert SECRET not in repr(settings)


def test_the_default_schedule_is_that_of_standard_webhooks() -> None:
    assert Settings().schedule == SCHEDULE


def test_a_schedule_is_read_as_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_RETRY_SECONDS", "0.5, 300")
    assert Settings().schedule == (0.5, 300)
