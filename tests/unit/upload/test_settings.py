import pytest

from functions.upload.settings import Settings
from microdemucs.settings import BadSetting, ServerSettings


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", ()), (" , ", ()), ("one", ("one",)), (" one , two,", ("one", "two"))],
)
def test_tokens_are_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch, text: str, tokens: tuple[str, ...]
) -> None:
    monkeypatch.setenv("API_TOKENS", text)
    assert Settings().tokens == tokens


@pytest.mark.parametrize(("threads", "streams"), [(1, 1), (8, 4), (64, 32)])
def test_half_of_the_threads_may_serve_streams(threads: int, streams: int) -> None:
    assert Settings(server=ServerSettings(threads=threads)).event_streams == streams


def test_the_limit_of_streams_can_be_set_even_to_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENT_STREAMS", "0")
    assert Settings().event_streams == 0


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_TOKENS", "STORE_SECRET_KEY", "NATS_PASSWORD"):
        monkeypatch.setenv(name, "open-sesame")
    assert "open-sesame" not in repr(Settings())


def test_a_bad_setting_names_its_value_and_what_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LINK_HOURS", "200")
    with pytest.raises(BadSetting, match=r"LINK_HOURS is '200': must be a number from 0.01 to 168"):
        Settings()


@pytest.mark.parametrize(
    ("max_bytes", "space"), [(2**30, 7 * 2**29), (2**33, 2**33)], ids=["default", "large songs"]
)
def test_the_space_for_songs_that_arrive_holds_the_largest_one(max_bytes: int, space: int) -> None:
    assert Settings(max_bytes=max_bytes).upload_space == space


def test_less_space_than_the_largest_song_needs_is_a_bad_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UPLOAD_SPACE_BYTES", "1000")
    with pytest.raises(BadSetting, match="UPLOAD_SPACE_BYTES is 1000: must be at least MAX_SONG"):
        Settings()
