"""The stems as a sound card gets them from Firefox."""

from tests.system.browser.player_fixtures import listener, page, song
from tests.system.browser.test_sound_card import (
    recording,
    separation,
    test_clicks_of_all_stems_arrive_in_the_same_sample,
)

__all__ = [  # pytest collects them here, with this folder's browser
    "listener",
    "page",
    "recording",
    "separation",
    "song",
    "test_clicks_of_all_stems_arrive_in_the_same_sample",
]
