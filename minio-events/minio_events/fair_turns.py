"""Choose the song that is next, so that submitters take turns. Pure: the caller passes the time.

The next turn is that of the submitter with the fewest songs in work; among these, of the one whose
last turn is the longest ago. Each submitter's own songs keep their order. Songs that share a
concurrency key are never in work at the same time, and one that waits for another does not hold up
the songs behind it.
"""

from collections.abc import Container
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Turn:
    """One message of the queue. `number` is its sequence number there.

    `due` is the time before which it must not be tried again, and `tries` how often it was.
    """

    number: int
    submitter: str
    concurrency_keys: frozenset[str]
    due: float = 0.0
    tries: int = 0


@dataclass(slots=True)
class _Submitter:
    """A submitter's known messages, by number, and when its last turn was."""

    waiting: dict[int, Turn] = field(default_factory=dict)
    in_work: dict[int, Turn] = field(default_factory=dict)
    last_turn: int = 0
    turn_before: int = 0


class FairTurns:
    """The messages of all submitters that wait or are in work."""

    def __init__(self) -> None:
        self._submitters: dict[str, _Submitter] = {}
        self._keys_in_work: set[str] = set()
        self._turns = 0

    def add(self, turn: Turn) -> None:
        """Add a message that waits. A message that is known stays as it is."""
        known = self._submitters.setdefault(turn.submitter, _Submitter())
        if turn.number in known.waiting or turn.number in known.in_work:
            return
        is_last = turn.number > next(reversed(known.waiting), 0)
        known.waiting[turn.number] = turn
        if not is_last:
            known.waiting = dict(sorted(known.waiting.items()))

    def known(self, submitter: str) -> int:
        """Return how many messages of this submitter are known."""
        found = self._submitters.get(submitter)
        return len(found.waiting) + len(found.in_work) if found else 0

    def last_known(self, submitter: str) -> int:
        """Return the highest number of this submitter's known messages; 0 if there are none."""
        found = self._submitters.get(submitter)
        return max([*found.waiting, *found.in_work], default=0) if found else 0

    def has_ready(self, submitter: str, now: float) -> bool:
        """Return whether one of this submitter's messages could be taken now."""
        found = self._submitters.get(submitter)
        return found is not None and self._first_ready(found, now) is not None

    def take(self, now: float) -> Turn | None:
        """Return the message that is next, which is in work then; None if none can be taken."""
        ready = (
            (len(submitter.in_work), submitter.last_turn, turn.number, turn)
            for submitter in self._submitters.values()
            if (turn := self._first_ready(submitter, now))
        )
        *_, chosen = min(ready, key=lambda rank: rank[:-1], default=(None,))
        if chosen is None:
            return None
        submitter = self._submitters[chosen.submitter]
        submitter.in_work[chosen.number] = submitter.waiting.pop(chosen.number)
        self._keys_in_work |= chosen.concurrency_keys
        self._turns += 1
        submitter.turn_before, submitter.last_turn = submitter.last_turn, self._turns
        chosen.tries += 1
        return chosen

    def put_back(self, turn: Turn, due: float, *, keeps_turn: bool) -> None:
        """Let a message that is in work wait until `due`.

        If it `keeps_turn`, its submitter is next again: nothing of the message has begun.
        """
        submitter = self._end_work(turn)
        turn.due = due
        self.add(turn)
        if keeps_turn:
            submitter.last_turn = submitter.turn_before

    def remove(self, turn: Turn) -> None:
        """Remove a message that was in work."""
        self._end_work(turn)

    def forget_idle(self, *, keep: Container[str]) -> None:
        """Forget all submitters without a known message, but for those in `keep`.

        Who is forgotten counts as one who never had a turn.
        """
        for name in list(self._submitters):
            if not self.known(name) and name not in keep:
                del self._submitters[name]

    def next_due(self, now: float) -> float | None:
        """Return when the next message is due that must wait for its time now; None if none."""
        waiting = (turn for known in self._submitters.values() for turn in known.waiting.values())
        return min((turn.due for turn in waiting if turn.due > now), default=None)

    def _end_work(self, turn: Turn) -> _Submitter:
        submitter = self._submitters[turn.submitter]
        del submitter.in_work[turn.number]
        self._keys_in_work -= turn.concurrency_keys
        return submitter

    def _first_ready(self, submitter: _Submitter, now: float) -> Turn | None:
        for turn in submitter.waiting.values():
            if turn.due <= now and not turn.concurrency_keys & self._keys_in_work:
                return turn
        return None
