"""The tests of speed and pitch that Firefox passes, too.

In Firefox a loop set at another speed can leave a short gap, so only Chromium runs that test.
"""

from tests.system.browser.player_fixtures import (
    listener,
    page,
    song,
)
from tests.system.browser.test_stretch import (
    test_a_loop_is_repeated_at_another_speed,
    test_a_loop_that_is_set_while_the_song_plays_is_repeated_at_another_speed,
    test_a_mute_acts_on_its_own_stem_at_another_speed,
    test_a_seek_goes_to_the_right_moment_at_another_speed,
    test_at_another_speed_the_pitch_is_that_of_the_song,
    test_at_another_speed_the_pitch_stays_and_clicks_are_further_apart,
    test_at_the_end_of_the_song_the_player_stops_at_another_speed,
    test_every_stem_sounds_so_many_semitones_higher,
    test_stretched_stems_stay_in_time_after_pauses_and_seeks,
    test_the_song_plays_at_its_own_speed_if_the_library_cannot_be_loaded,
    test_the_speed_can_be_changed_while_the_song_plays,
    test_without_a_change_every_sample_is_that_of_the_song_again,
)

__all__ = [  # pytest collects them here, with this folder's browser
    "listener",
    "page",
    "song",
    "test_a_loop_is_repeated_at_another_speed",
    "test_a_loop_that_is_set_while_the_song_plays_is_repeated_at_another_speed",
    "test_a_mute_acts_on_its_own_stem_at_another_speed",
    "test_a_seek_goes_to_the_right_moment_at_another_speed",
    "test_at_another_speed_the_pitch_is_that_of_the_song",
    "test_at_another_speed_the_pitch_stays_and_clicks_are_further_apart",
    "test_at_the_end_of_the_song_the_player_stops_at_another_speed",
    "test_every_stem_sounds_so_many_semitones_higher",
    "test_stretched_stems_stay_in_time_after_pauses_and_seeks",
    "test_the_song_plays_at_its_own_speed_if_the_library_cannot_be_loaded",
    "test_the_speed_can_be_changed_while_the_song_plays",
    "test_without_a_change_every_sample_is_that_of_the_song_again",
]
