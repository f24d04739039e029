"""Whose song is next."""

from minio_events.fair_turns import FairTurns, Turn


def turns_of(*submitters: str) -> FairTurns:
    """Return the turns of one message for each letter, all with keys of their own."""
    turns = FairTurns()
    for number, submitter in enumerate(submitters, 1):
        turns.add(Turn(number, submitter, frozenset({str(number)})))
    return turns


def take(turns: FairTurns, now: float = 0.0) -> Turn:
    taken = turns.take(now)
    assert taken
    return taken


def order(turns: FairTurns) -> str:
    """Take and finish all messages, one at a time; return whose they are, in this order."""
    taken = ""
    while turn := turns.take(0.0):
        taken += turn.submitter
        turns.remove(turn)
    return taken


def test_the_songs_of_one_submitter_keep_their_order() -> None:
    turns = turns_of(*"aaa")
    assert [take(turns).number for _ in range(3)] == [1, 2, 3]


def test_one_song_is_next_although_another_submitter_sent_many_before() -> None:
    turns = turns_of(*"aaaaaa", "b")
    first = take(turns)
    turns.remove(first)
    assert (first.submitter, order(turns)) == ("a", "baaaaa")


def test_submitters_take_turns() -> None:
    assert order(turns_of(*"aaaabbcc")) == "abcabcaa"


def test_a_submitter_with_fewer_songs_in_work_is_next() -> None:
    turns = turns_of(*"aabb", "a", "b")
    taken = [take(turns), take(turns), take(turns)]
    assert "".join(turn.submitter for turn in taken) == "aba"
    turns.remove(taken[0])
    turns.remove(taken[2])
    assert take(turns).submitter == "a"


def test_a_submitter_that_comes_back_does_not_wait_for_many() -> None:
    turns = turns_of(*"aaab")
    turns.remove(take(turns))
    turns.remove(take(turns))
    turns.add(Turn(9, "b", frozenset()))
    assert order(turns) == "aba"


def test_songs_with_the_same_key_are_not_in_work_together() -> None:
    turns = FairTurns()
    turns.add(Turn(1, "a", frozenset({"song"})))
    turns.add(Turn(2, "a", frozenset({"song"})))
    turns.add(Turn(3, "a", frozenset({"other"})))
    first = take(turns)
    assert take(turns).number == 3
    assert turns.take(0.0) is None
    turns.remove(first)
    assert take(turns).number == 2


def test_a_song_that_is_not_due_lets_others_go_first() -> None:
    turns = turns_of(*"aa")
    turns.put_back(take(turns), due=5.0, keeps_turn=False)
    assert take(turns, 4.9).number == 2
    assert turns.take(4.9) is None
    assert turns.next_due(4.9) == 5.0
    assert take(turns, 5.0).number == 1


def test_a_song_that_was_put_back_is_before_later_ones() -> None:
    turns = turns_of(*"aaa")
    turns.put_back(take(turns), due=0.0, keeps_turn=False)
    assert order(turns) == "aaa"
    assert turns.next_due(0.0) is None


def test_a_song_that_did_not_begin_keeps_its_turn() -> None:
    turns = turns_of(*"abc")
    first = take(turns)
    turns.put_back(first, due=1.0, keeps_turn=True)
    turns.remove(take(turns, 0.0))
    assert take(turns, 1.0) is first


def test_a_song_that_failed_uses_its_turn() -> None:
    turns = turns_of(*"ab")
    turns.put_back(take(turns), due=0.0, keeps_turn=False)
    assert take(turns).submitter == "b"


def test_tries_are_counted() -> None:
    turns = turns_of("a")
    turns.put_back(take(turns), due=0.0, keeps_turn=True)
    assert take(turns).tries == 2


def test_a_message_that_is_known_is_not_added_again() -> None:
    turns = turns_of("a", "a")
    turns.add(Turn(1, "a", frozenset()))
    taken = take(turns)
    turns.add(Turn(taken.number, "a", frozenset()))
    assert (turns.known("a"), turns.last_known("a")) == (2, 2)


def test_a_message_that_is_removed_is_not_known_any_more() -> None:
    turns = turns_of("a")
    turns.remove(take(turns))
    assert (turns.known("a"), turns.last_known("a"), turns.has_ready("a", 0.0)) == (0, 0, False)


def test_a_submitter_whose_next_message_is_not_read_yet_has_had_its_turn() -> None:
    turns = turns_of("a")
    turns.remove(take(turns))
    turns.forget_idle(keep={"a"})
    turns.add(Turn(2, "a", frozenset()))
    turns.add(Turn(3, "b", frozenset()))
    assert order(turns) == "ba"


def test_a_submitter_that_is_forgotten_has_had_no_turn() -> None:
    turns = turns_of("a")
    turns.remove(take(turns))
    turns.forget_idle(keep=set())
    turns.add(Turn(2, "a", frozenset()))
    turns.add(Turn(3, "b", frozenset()))
    assert order(turns) == "ab"


def test_a_submitter_with_messages_is_not_forgotten() -> None:
    turns = turns_of("a", "a", "b")
    turns.remove(take(turns))
    turns.forget_idle(keep=set())
    assert order(turns) == "ba"


def test_only_messages_that_can_be_taken_are_ready() -> None:
    turns = FairTurns()
    turns.add(Turn(1, "a", frozenset({"song"})))
    turns.add(Turn(2, "b", frozenset({"song"})))
    assert turns.has_ready("b", 0.0)
    turns.put_back(take(turns), due=9.0, keeps_turn=False)
    assert not turns.has_ready("a", 0.0)
    take(turns)
    assert not turns.has_ready("a", 9.0)
