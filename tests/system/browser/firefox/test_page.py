"""The tests of the page that Firefox passes, too: all that needs no sound card."""

from tests.system.browser.test_mixer import (
    mixer,
    test_arrows_move_and_brackets_make_a_loop,
    test_digits_mute_and_with_shift_solo,
    test_keys_change_speed_and_pitch_which_are_kept_with_the_song,
    test_the_mixer_of_a_song_is_as_it_was_left,
)
from tests.system.browser.test_page import test_an_empty_file_is_named_and_not_uploaded

__all__ = [  # pytest collects them here, with this folder's browser
    "mixer",
    "test_an_empty_file_is_named_and_not_uploaded",
    "test_arrows_move_and_brackets_make_a_loop",
    "test_digits_mute_and_with_shift_solo",
    "test_keys_change_speed_and_pitch_which_are_kept_with_the_song",
    "test_the_mixer_of_a_song_is_as_it_was_left",
]
