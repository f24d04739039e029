"""Which delivery is attempted next: a queue for each target, and limits for each receiver.

Nothing here does any I/O. A receiver is the host and port of targets. How long a target's last
attempt took decides which of the attempts at once are open to it. Of a target without attempts so
far, its receiver's last attempt counts.

| speed | the last attempt took | share of the attempts at once |
|---|---|---|
| fast | less than 1 s | half, whatever all others do |
| unknown | there was none | a quarter |
| slow | less than 10 s | an eighth, one attempt per receiver |
| hanging | longer | an eighth, one attempt per receiver |

An attempt that lasts longer than that moves to the next share while it runs, and so makes room in
its own. So receivers that hang delay each other, and no others. In each share the receivers take
turns, and so do the targets of one receiver.
"""

import enum
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import NamedTuple

_SPEEDS = 20_000
"""Of how many targets and receivers the speed is remembered."""


class Speed(enum.IntEnum):
    """How long the last attempt took."""

    FAST = 1
    UNKNOWN = 2
    SLOW = 3
    HANGING = 4


SLOW_S, HANGING_S = 1.0, 10.0
_DIVISORS = {Speed.FAST: 2, Speed.UNKNOWN: 4, Speed.SLOW: 8, Speed.HANGING: 8}


class Limits(NamedTuple):
    """How many attempts may run at once: in all, at one receiver, for one target."""

    attempts: int
    per_receiver: int
    per_target: int


def _counts() -> dict[Speed, int]:
    return dict.fromkeys(Speed, 0)


def _ready() -> dict[Speed, deque["Queue"]]:
    return {speed: deque() for speed in Speed}


@dataclass(slots=True, eq=False)
class _Receiver:
    """`ready` are its queues that may have another attempt, `running` its attempts by share."""

    name: str
    ready: dict[Speed, deque["Queue"]] = field(default_factory=_ready)
    running: dict[Speed, int] = field(default_factory=_counts)
    queues: int = 0


@dataclass(slots=True, eq=False)
class Queue:
    """The deliveries at one subject: those of one target.

    `cursor` is the sequence number from which the next message is looked for, `last` that of the
    newest known one; None: not known, so look until there is none. One attempt at a time takes a
    message: `taker`.
    """

    subject: str
    receiver: _Receiver
    cursor: int
    last: int | None
    running: int = 0
    is_ready: bool = False
    taker: "Attempt | None" = None
    was_announced: bool = False


@dataclass(slots=True, eq=False)
class Attempt:
    """An attempt that runs, and the share that it counts in."""

    queue: Queue
    share: Speed


class DeliveryQueues:
    """All targets with deliveries that are due."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._queues: dict[str, Queue] = {}
        self._receivers: dict[str, _Receiver] = {}
        self._turns: dict[Speed, OrderedDict[_Receiver, None]] = {
            speed: OrderedDict() for speed in Speed
        }
        self._running = _counts()
        self._speeds: OrderedDict[str, Speed] = OrderedDict()

    def __len__(self) -> int:
        """How many targets have deliveries that are due, or attempts that run."""
        return len(self._queues)

    @property
    def running(self) -> int:
        """How many attempts run."""
        return sum(self._running.values())

    def announce(self, subject: str, number: int) -> None:
        """Add a message that is new at `subject`, with this sequence number."""
        queue = self._queues.get(subject)
        if queue is None:
            self._add(subject, number, number)
            return
        queue.was_announced = True
        if queue.last is not None:
            queue.last = max(queue.last, number)
            self._set_ready(queue)

    def add(self, subject: str) -> None:
        """Add the messages at `subject`; it is not known which there are."""
        if subject not in self._queues:
            self._add(subject, 0, None)

    def start(self) -> Attempt | None:
        """Take the next turn. Return None if nothing is ready, or no share has room for it."""
        while share := self._share_with_turn():
            receiver = next(iter(self._turns[share]))
            self._turns[share].move_to_end(receiver)
            queue = receiver.ready[share].popleft()
            queue.is_ready = False
            self._set_turns(receiver)
            if self._speed(queue) is not share:  # it has changed since
                self._set_ready(queue)
                continue
            queue.was_announced = False
            queue.running += 1
            receiver.running[share] += 1
            self._running[share] += 1
            self._set_turns(receiver)
            queue.taker = Attempt(queue, share)
            return queue.taker
        return None

    def take(self, queue: Queue, number: int) -> None:
        """Move on: an attempt has the message with this sequence number."""
        queue.cursor = number + 1
        queue.taker = None
        self._set_ready(queue)

    def take_nothing(self, queue: Queue) -> None:
        """Look no further: no message was there, unless one has been announced meanwhile."""
        if not queue.was_announced:
            queue.last = queue.cursor - 1
        queue.taker = None
        self._set_ready(queue)

    def move(self, attempt: Attempt, speed: Speed) -> None:
        """Count an attempt that still runs in the share of this speed, if that is a slower one."""
        if speed > attempt.share:
            receiver = attempt.queue.receiver
            for running in (self._running, receiver.running):
                running[attempt.share] -= 1
                running[speed] += 1
            attempt.share = speed
            self._remember(attempt.queue, speed)
            self._set_turns(receiver)

    def end(self, attempt: Attempt, seconds: float | None) -> None:
        """Make room again; the attempt took `seconds`, None if the receiver was not asked."""
        queue, receiver = attempt.queue, attempt.queue.receiver
        self._running[attempt.share] -= 1
        receiver.running[attempt.share] -= 1
        queue.running -= 1
        if seconds is not None:
            self._remember(queue, _speed(seconds))
        if queue.taker is attempt:  # it has failed to take one: the next scan finds the queue again
            queue.taker, queue.last = None, queue.cursor - 1
        self._set_ready(queue)
        self._set_turns(receiver)
        if not queue.running and not queue.is_ready:
            del self._queues[queue.subject]
            receiver.queues -= 1
            if not receiver.queues:
                del self._receivers[receiver.name]

    def _add(self, subject: str, cursor: int, last: int | None) -> None:
        name = _receiver_of(subject)
        receiver = self._receivers.setdefault(name, _Receiver(name))
        receiver.queues += 1
        self._queues[subject] = queue = Queue(subject, receiver, cursor, last)
        self._set_ready(queue)

    def _set_ready(self, queue: Queue) -> None:
        has_more = queue.last is None or queue.cursor <= queue.last
        is_free = not queue.is_ready and queue.taker is None
        if has_more and is_free and queue.running < self._limits.per_target:
            queue.is_ready = True
            queue.receiver.ready[self._speed(queue)].append(queue)
            self._set_turns(queue.receiver)

    def _set_turns(self, receiver: _Receiver) -> None:
        """Line the receiver up in each share in which it may have an attempt; keep its place."""
        is_full = sum(receiver.running.values()) >= self._limits.per_receiver
        for share, turns in self._turns.items():
            is_waiting = share >= Speed.SLOW and receiver.running[share] > 0
            if receiver.ready[share] and not is_full and not is_waiting:
                turns.setdefault(receiver)
            else:
                turns.pop(receiver, None)

    def _share_with_turn(self) -> Speed | None:
        return next(
            (speed for speed in Speed if self._turns[speed] and self._has_room(speed)), None
        )

    def _has_room(self, share: Speed) -> bool:
        # Attempts that have slowed down can fill a share above its limit. So fast targets have room
        # beyond the total.
        total = self._limits.attempts * (2 if share is Speed.FAST else 1)
        limit = max(1, self._limits.attempts // _DIVISORS[share])
        return self._running[share] < limit and self.running < total

    def _speed(self, queue: Queue) -> Speed:
        known = self._speeds.get(queue.subject)
        if known is None:
            known = self._speeds.get(queue.receiver.name)
        return Speed.UNKNOWN if known is None else known

    def _remember(self, queue: Queue, speed: Speed) -> None:
        for name in (queue.subject, queue.receiver.name):
            self._speeds[name] = speed
            self._speeds.move_to_end(name)
        while len(self._speeds) > _SPEEDS:
            self._speeds.popitem(last=False)


def _receiver_of(subject: str) -> str:
    """Return the receiver's token of deliveries.due.<receiver>.<target>.

    Deliveries of the previous release have subjects of their own, and so receivers of their own.
    """
    tokens = subject.split(".")
    return tokens[2] if len(tokens) > 3 else subject


def _speed(seconds: float) -> Speed:
    if seconds < SLOW_S:
        return Speed.FAST
    return Speed.SLOW if seconds < HANGING_S else Speed.HANGING
