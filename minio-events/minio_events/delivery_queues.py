"""Which delivery is attempted next: a queue for each target, and limits for each host.

Nothing here does any I/O. A receiver is the host and port of targets; all receivers at one host
share its limits, as a host may have thousands of ports. How long a target's last
attempt took decides which of the attempts at once are open to it. Of a target without attempts so
far, its receiver's last attempt counts.

| speed | the last attempt took | share of the attempts at once |
|---|---|---|
| fast | less than 1 s | half, whatever all others do |
| unknown | there was none | a quarter |
| slow | less than 10 s | an eighth, one attempt per host |
| hanging | longer | an eighth, one attempt per host |

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
    """How many attempts may run at once: in all, at one host, for one target."""

    attempts: int
    per_host: int
    per_target: int


def _counts() -> dict[Speed, int]:
    return dict.fromkeys(Speed, 0)


def _ready() -> dict[Speed, deque["Queue"]]:
    return {speed: deque() for speed in Speed}


@dataclass(slots=True, eq=False)
class _Host:
    """The receivers at one host, and how many attempts run there, by share."""

    name: str
    receivers: list["_Receiver"] = field(default_factory=list)
    running: dict[Speed, int] = field(default_factory=_counts)


@dataclass(slots=True, eq=False)
class _Receiver:
    """A host and port; `ready` are its queues that may have another attempt."""

    name: str
    host: _Host
    ready: dict[Speed, deque["Queue"]] = field(default_factory=_ready)
    queues: int = 0


@dataclass(slots=True, eq=False)
class _Target:
    """The queues of one target: of its new deliveries, and of those that are repeated."""

    name: str
    queues: list["Queue"] = field(default_factory=list)
    running: int = 0


@dataclass(slots=True, eq=False)
class Queue:
    """The deliveries at one subject, all for one target.

    `cursor` is the sequence number from which the next message is looked for, `last` that of the
    newest known one; None: not known, so look until there is none. One attempt at a time takes a
    message: `taker`.
    """

    subject: str
    target: _Target
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
        self._hosts: dict[str, _Host] = {}
        self._targets: dict[str, _Target] = {}
        self._turns: dict[Speed, OrderedDict[_Receiver, None]] = {
            speed: OrderedDict() for speed in Speed
        }
        self._running = _counts()
        self._speeds: OrderedDict[str, Speed] = OrderedDict()

    def __len__(self) -> int:
        """How many queues have deliveries that are due, or attempts that run."""
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
            if queue.target.running >= self._limits.per_target:
                continue  # by its other queue; it is ready again once an attempt of either ends
            queue.was_announced = False
            queue.running += 1
            queue.target.running += 1
            receiver.host.running[share] += 1
            self._running[share] += 1
            self._set_turns_at(receiver.host)
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
            host = attempt.queue.receiver.host
            for running in (self._running, host.running):
                running[attempt.share] -= 1
                running[speed] += 1
            attempt.share = speed
            self._remember(attempt.queue, speed)
            self._set_turns_at(host)

    def end(self, attempt: Attempt, seconds: float | None) -> None:
        """Make room again; the attempt took `seconds`, None if the receiver was not asked."""
        queue, receiver = attempt.queue, attempt.queue.receiver
        self._running[attempt.share] -= 1
        receiver.host.running[attempt.share] -= 1
        queue.running -= 1
        queue.target.running -= 1
        if seconds is not None:
            self._remember(queue, _speed(seconds))
        if queue.taker is attempt:  # it has failed to take one: the next scan finds the queue again
            queue.taker, queue.last = None, queue.cursor - 1
        for each in queue.target.queues:
            self._set_ready(each)
        self._set_turns_at(receiver.host)
        if not queue.running and not queue.is_ready and not _has_more(queue):
            del self._queues[queue.subject]
            queue.target.queues.remove(queue)
            if not queue.target.queues:
                del self._targets[queue.target.name]
            receiver.queues -= 1
            if not receiver.queues:
                del self._receivers[receiver.name]
                receiver.host.receivers.remove(receiver)
                if not receiver.host.receivers:
                    del self._hosts[receiver.host.name]

    def _add(self, subject: str, cursor: int, last: int | None) -> None:
        receiver = self._receiver(_receiver_of(subject))
        receiver.queues += 1
        name = _target_of(subject)
        target = self._targets.setdefault(name, _Target(name))
        self._queues[subject] = queue = Queue(subject, target, receiver, cursor, last)
        target.queues.append(queue)
        self._set_ready(queue)

    def _receiver(self, name: str) -> _Receiver:
        """Return the receiver, known or new."""
        if name not in self._receivers:
            host = self._hosts.setdefault(_host_of(name), _Host(_host_of(name)))
            self._receivers[name] = _Receiver(name, host)
            host.receivers.append(self._receivers[name])
        return self._receivers[name]

    def _set_ready(self, queue: Queue) -> None:
        is_free = not queue.is_ready and queue.taker is None
        if _has_more(queue) and is_free and queue.target.running < self._limits.per_target:
            queue.is_ready = True
            queue.receiver.ready[self._speed(queue)].append(queue)
            self._set_turns(queue.receiver)

    def _set_turns_at(self, host: _Host) -> None:
        for receiver in host.receivers:
            self._set_turns(receiver)

    def _set_turns(self, receiver: _Receiver) -> None:
        """Line the receiver up in each share in which it may have an attempt; keep its place."""
        running = receiver.host.running
        is_full = sum(running.values()) >= self._limits.per_host
        for share, turns in self._turns.items():
            is_waiting = share >= Speed.SLOW and running[share] > 0
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
        known = self._speeds.get(queue.target.name)
        if known is None:
            known = self._speeds.get(queue.receiver.name)
        return Speed.UNKNOWN if known is None else known

    def _remember(self, queue: Queue, speed: Speed) -> None:
        for name in (queue.target.name, queue.receiver.name):
            self._speeds[name] = speed
            self._speeds.move_to_end(name)
        while len(self._speeds) > _SPEEDS:
            self._speeds.popitem(last=False)


def _has_more(queue: Queue) -> bool:
    return queue.last is None or queue.cursor <= queue.last


def _target_of(subject: str) -> str:
    """Return what the subjects of one target have in common: <receiver>.<target>."""
    tokens = subject.split(".", 2)
    return tokens[-1] if len(tokens) > 2 else subject


def _receiver_of(subject: str) -> str:
    """Return the receiver's token of deliveries.due.<receiver>.<target>: <host>_<receiver>.

    Deliveries of the previous release have subjects of their own, and so receivers of their own.
    """
    tokens = subject.split(".")
    return tokens[2] if len(tokens) > 3 else subject


def _host_of(receiver: str) -> str:
    return receiver.partition("_")[0]


def _speed(seconds: float) -> Speed:
    if seconds < SLOW_S:
        return Speed.FAST
    return Speed.SLOW if seconds < HANGING_S else Speed.HANGING
