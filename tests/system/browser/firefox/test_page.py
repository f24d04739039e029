"""The tests of the page that Firefox passes, too."""

from tests.system.browser.test_cancel import (
    test_a_running_song_is_cancelled,
    test_a_waiting_song_is_cancelled_before_its_turn,
    test_an_upload_is_cancelled_at_once,
)
from tests.system.browser.test_mixer import (
    mixer,
    test_arrows_move_and_brackets_make_a_loop,
    test_digits_mute_and_with_shift_solo,
    test_keys_change_speed_and_pitch_which_are_kept_with_the_song,
    test_the_mixer_of_a_song_is_as_it_was_left,
)
from tests.system.browser.test_page import (
    test_a_file_beyond_the_limit_is_named_and_not_uploaded,
    test_a_file_that_is_no_song_is_named_and_not_uploaded,
    test_a_song_is_uploaded_and_followed_and_its_stems_play,
    test_an_empty_file_is_named_and_not_uploaded,
    test_karaoke_begins_with_the_vocals_muted,
    test_songs_of_every_format_that_is_read_are_uploaded,
    test_the_chosen_options_are_uploaded_with_the_song,
    test_the_form_can_be_used_by_keyboard,
    test_the_page_asks_for_a_token_if_one_is_required_and_keeps_it,
)

__all__ = [  # pytest collects them here, with this folder's browser
    "mixer",
    "test_a_file_beyond_the_limit_is_named_and_not_uploaded",
    "test_a_file_that_is_no_song_is_named_and_not_uploaded",
    "test_a_running_song_is_cancelled",
    "test_a_song_is_uploaded_and_followed_and_its_stems_play",
    "test_a_waiting_song_is_cancelled_before_its_turn",
    "test_an_empty_file_is_named_and_not_uploaded",
    "test_an_upload_is_cancelled_at_once",
    "test_arrows_move_and_brackets_make_a_loop",
    "test_digits_mute_and_with_shift_solo",
    "test_karaoke_begins_with_the_vocals_muted",
    "test_keys_change_speed_and_pitch_which_are_kept_with_the_song",
    "test_songs_of_every_format_that_is_read_are_uploaded",
    "test_the_chosen_options_are_uploaded_with_the_song",
    "test_the_form_can_be_used_by_keyboard",
    "test_the_mixer_of_a_song_is_as_it_was_left",
    "test_the_page_asks_for_a_token_if_one_is_required_and_keeps_it",
]
