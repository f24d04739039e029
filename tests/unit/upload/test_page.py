import pytest

from functions.upload.page import content_security_policy, describe_retention
from microdemucs.settings import RetentionSettings

STAY = "stay on this server until you delete them"


@pytest.mark.parametrize(
    ("songs", "stems", "text"),
    [
        (0, 0, f"Songs and their stems {STAY}."),
        (7, 7, "Songs and their stems are deleted after 7 days."),
        (1, 30, "Songs are deleted after 1 day, their stems after 30 days."),
        (7, 0, f"Songs are deleted after 7 days; their stems {STAY}."),
        (0, 7, f"Songs {STAY}; their stems are deleted after 7 days."),
    ],
)
def test_the_page_says_how_long_songs_and_stems_are_kept(songs: int, stems: int, text: str) -> None:
    assert describe_retention(RetentionSettings(songs_days=songs, stems_days=stems)) == text


def test_the_page_loads_data_and_media_from_itself_and_the_store() -> None:
    policy = content_security_policy("https://store.example").split("; ")
    assert "connect-src 'self' https://store.example" in policy
    assert "media-src 'self' https://store.example" in policy


def test_the_page_runs_only_its_own_scripts() -> None:
    policy = content_security_policy("https://store.example").split("; ")
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
