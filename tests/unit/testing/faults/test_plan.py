import pytest

from testing.faults.plan import (
    COMPONENTS,
    FAULTS_PER_ROUND,
    Fault,
    Kind,
    Round,
    Step,
    draw_rounds,
)


def faults_of(rounds: list[Round]) -> list[Fault]:
    return [fault for round_ in rounds for fault in round_.faults]


def test_the_same_seed_gives_the_same_campaign() -> None:
    assert draw_rounds(7, 100, 15) == draw_rounds(7, 100, 15)


def test_another_seed_gives_another_campaign() -> None:
    assert draw_rounds(7, 100, 15) != draw_rounds(8, 100, 15)


@pytest.mark.parametrize("number", [1, FAULTS_PER_ROUND, 30, 100])
def test_a_campaign_has_exactly_the_faults_that_were_asked_for(number: int) -> None:
    assert len(faults_of(draw_rounds(1, number, 15))) == number


def test_a_hundred_faults_have_each_component_with_each_kind() -> None:
    pairs = {(fault.component, fault.kind) for fault in faults_of(draw_rounds(1, 100, 15))}
    for component in COMPONENTS:
        for kind in (Kind.KILL, Kind.PAUSE, Kind.CUT, Kind.SLOW):
            assert (component, kind) in pairs


def test_a_hundred_faults_kill_and_pause_separate_at_each_step() -> None:
    faults = faults_of(draw_rounds(1, 100, 15))
    for kind in (Kind.KILL, Kind.PAUSE):
        steps = {f.step for f in faults if (f.component, f.kind) == ("separate", kind)}
        assert steps >= set(Step)


def test_only_the_kinds_that_are_possible_are_drawn() -> None:
    kinds = {fault.kind for fault in faults_of(draw_rounds(1, 100, 15, {Kind.KILL, Kind.PAUSE}))}
    assert kinds == {Kind.KILL, Kind.PAUSE}


def test_separate_is_paused_for_longer_than_a_lease() -> None:
    faults = faults_of(draw_rounds(1, 300, 15))
    pauses = [f.seconds for f in faults if (f.component, f.kind) == ("separate", Kind.PAUSE)]
    assert min(pauses) > 15


def test_each_fault_at_a_step_has_a_song_that_reaches_it() -> None:
    faults = faults_of(draw_rounds(1, 100, 15))
    assert all((fault.song is not None) == (fault.step is not None) for fault in faults)


def test_no_song_has_the_number_of_another() -> None:
    songs = [song.number for round_ in draw_rounds(1, 60, 15) for song in round_.all_songs]
    assert len(set(songs)) == len(songs)
