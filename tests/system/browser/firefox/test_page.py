"""The tests of the page that Firefox passes, too."""

from tests.system.browser.test_admin import (
    test_an_empty_table_says_so,
    test_the_operator_drops_a_dead_letter_and_replays_another,
    test_the_operator_is_asked_for_a_token,
    test_the_operator_reads_a_dead_letter,
    test_the_operator_sees_health_queue_jobs_and_retries_one,
    test_the_operator_sees_the_last_attempts_of_a_webhook,
    test_the_operator_sees_the_models,
)
from tests.system.browser.test_cancel import (
    test_a_running_song_is_cancelled,
    test_a_waiting_song_is_cancelled_before_its_turn,
    test_an_upload_is_cancelled_at_once,
)
from tests.system.browser.test_layout import (
    test_on_a_phone_the_transport_stays_at_the_foot_and_hides_nothing,
)
from tests.system.browser.test_many_songs import (
    test_a_drop_beside_the_box_adds_the_songs,
    test_a_new_tab_finds_the_songs_of_a_closed_one,
    test_a_server_that_cannot_be_reached_is_said_and_found_again,
    test_all_tabs_share_one_event_stream,
    test_an_interrupted_upload_is_listed_and_its_file_can_be_chosen_again,
    test_closing_the_page_during_an_upload_asks_first,
    test_if_the_tab_with_the_stream_is_closed_another_one_follows_the_songs,
    test_the_21st_song_is_uploaded_and_a_second_tab_opens_while_20_wait,
)
from tests.system.browser.test_mixer import (
    mixer,
    test_arrows_move_and_brackets_make_a_loop,
    test_digits_mute_and_with_shift_solo,
    test_dragging_on_the_ruler_makes_a_loop_which_is_repeated,
    test_keys_change_speed_and_pitch_which_are_kept_with_the_song,
    test_only_one_tab_plays,
    test_the_mixer_of_a_song_is_as_it_was_left,
    test_the_space_bar_plays_and_pauses,
    test_the_speed_changes_under_the_policy_of_the_page,
)
from tests.system.browser.test_offered_models import (
    test_a_remembered_choice_that_is_not_there_any_more_is_not_made,
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
    "test_a_drop_beside_the_box_adds_the_songs",
    "test_a_file_beyond_the_limit_is_named_and_not_uploaded",
    "test_a_file_that_is_no_song_is_named_and_not_uploaded",
    "test_a_new_tab_finds_the_songs_of_a_closed_one",
    "test_a_remembered_choice_that_is_not_there_any_more_is_not_made",
    "test_a_running_song_is_cancelled",
    "test_a_server_that_cannot_be_reached_is_said_and_found_again",
    "test_a_song_is_uploaded_and_followed_and_its_stems_play",
    "test_a_waiting_song_is_cancelled_before_its_turn",
    "test_all_tabs_share_one_event_stream",
    "test_an_empty_file_is_named_and_not_uploaded",
    "test_an_empty_table_says_so",
    "test_an_interrupted_upload_is_listed_and_its_file_can_be_chosen_again",
    "test_an_upload_is_cancelled_at_once",
    "test_arrows_move_and_brackets_make_a_loop",
    "test_closing_the_page_during_an_upload_asks_first",
    "test_digits_mute_and_with_shift_solo",
    "test_dragging_on_the_ruler_makes_a_loop_which_is_repeated",
    "test_if_the_tab_with_the_stream_is_closed_another_one_follows_the_songs",
    "test_karaoke_begins_with_the_vocals_muted",
    "test_keys_change_speed_and_pitch_which_are_kept_with_the_song",
    "test_on_a_phone_the_transport_stays_at_the_foot_and_hides_nothing",
    "test_only_one_tab_plays",
    "test_songs_of_every_format_that_is_read_are_uploaded",
    "test_the_21st_song_is_uploaded_and_a_second_tab_opens_while_20_wait",
    "test_the_chosen_options_are_uploaded_with_the_song",
    "test_the_form_can_be_used_by_keyboard",
    "test_the_mixer_of_a_song_is_as_it_was_left",
    "test_the_operator_drops_a_dead_letter_and_replays_another",
    "test_the_operator_is_asked_for_a_token",
    "test_the_operator_reads_a_dead_letter",
    "test_the_operator_sees_health_queue_jobs_and_retries_one",
    "test_the_operator_sees_the_last_attempts_of_a_webhook",
    "test_the_operator_sees_the_models",
    "test_the_page_asks_for_a_token_if_one_is_required_and_keeps_it",
    "test_the_space_bar_plays_and_pauses",
    "test_the_speed_changes_under_the_policy_of_the_page",
]
