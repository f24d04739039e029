"""The tests of the page's player that Firefox passes, too: but for one.

Only Chromium's driver tells which processes run pages, which the test of memory needs.
"""

from playwright.sync_api import Page

from tests.system.browser.listening import Listener, Song
from tests.system.browser.player_fixtures import listener, page, song
from tests.system.browser.test_player import (
    counting_stems,
    test_a_loop_turns_at_the_exact_sample,
    test_a_player_at_the_end_of_what_is_separated_waits_for_more,
    test_a_seek_goes_to_the_exact_sample_in_every_format,
    test_a_start_loses_nothing_while_the_page_is_busy,
    test_a_stem_that_is_missing_does_not_silence_the_others,
    test_links_that_have_expired_are_renewed_while_the_song_plays,
    test_no_sample_is_missing_or_doubled,
    test_nothing_clicks_if_the_browser_tells_an_old_time,
    test_nothing_clicks_while_the_page_is_busy,
    test_stems_are_never_a_sample_apart_after_pauses_seeks_and_mutes,
    test_the_finished_file_continues_at_the_sample_where_its_preview_ended,
    test_the_mix_is_a_file_with_the_sum_of_what_is_heard,
    test_the_song_plays_on_without_a_gap_when_the_job_finishes,
    test_volume_pan_mute_and_solo_are_those_of_the_stem,
)

__all__ = [  # pytest collects them here, with this folder's browser
    "listener",
    "page",
    "song",
    "test_a_loop_turns_at_the_exact_sample",
    "test_a_player_at_the_end_of_what_is_separated_waits_for_more",
    "test_a_seek_goes_to_the_exact_sample_in_every_format",
    "test_a_start_loses_nothing_while_the_page_is_busy",
    "test_a_stem_that_is_missing_does_not_silence_the_others",
    "test_links_that_have_expired_are_renewed_while_the_song_plays",
    "test_no_sample_is_missing_or_doubled",
    "test_nothing_clicks_if_the_browser_tells_an_old_time",
    "test_nothing_clicks_while_the_page_is_busy",
    "test_stems_are_never_a_sample_apart_after_pauses_seeks_and_mutes",
    "test_the_finished_file_continues_at_the_sample_where_its_preview_ended",
    "test_the_mix_is_a_file_with_the_sum_of_what_is_heard",
    "test_the_song_plays_on_without_a_gap_when_the_job_finishes",
    "test_volume_pan_mute_and_solo_are_those_of_the_stem",
]


def test_the_page_does_not_ask_for_the_latency_which_could_stop_it(
    page: Page, song: Song, listener: Listener
) -> None:
    page.evaluate("""() => {
        const get = () => { window.isAsked = true; return 0; };
        Object.defineProperty(AudioContext.prototype, "outputLatency", { get });
    }""")
    listener.load(song.finish(counting_stems()))
    listener.do("play()")
    listener.play_on(0.3)
    assert page.evaluate("window.isAsked ?? false") is False
