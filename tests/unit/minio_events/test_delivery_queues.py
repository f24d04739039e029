"""Turns and limits of deliveries, without a bus."""

from minio_events.delivery_queues import Attempt, DeliveryQueues, Limits, Speed

LIMITS = Limits(attempts=16, per_host=4, per_target=2)


class Bus:
    """Messages at subjects, and attempts that take them as the bridge does."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.queues = DeliveryQueues(limits)
        self.number = 0
        self.stored: dict[str, list[int]] = {}

    def put(self, receiver: str, target: str, messages: int = 1) -> str:
        """Store messages, which the bus announces; return their subject."""
        subject = f"deliveries.due.{receiver}.{target}"
        for _ in range(messages):
            self.number += 1
            self.stored.setdefault(subject, []).append(self.number)
            self.queues.announce(subject, self.number)
        return subject

    def start(self) -> Attempt | None:
        """Start the next attempt that finds a message."""
        while attempt := self.queues.start():
            queue = attempt.queue
            numbers = [n for n in self.stored.get(queue.subject, []) if n >= queue.cursor]
            if numbers:
                self.queues.take(queue, numbers[0])
                return attempt
            self.queues.take_nothing(queue)
            self.queues.end(attempt, None)
        return None

    def start_all(self) -> list[Attempt]:
        """Start attempts until there is no room or no message."""
        started = []
        while attempt := self.start():
            started.append(attempt)
        return started

    def do_all(self, seconds: float = 0.1) -> list[str]:
        """Attempt everything, one after the other; return the subjects in this order."""
        done = []
        while attempt := self.start():
            done.append(attempt.queue.subject)
            self.queues.end(attempt, seconds)
        return done

    def know(self, receiver: str, target: str, seconds: float) -> None:
        """Let one attempt for the target take so long."""
        self.put(receiver, target)
        attempt = self.start()
        assert attempt is not None
        assert attempt.queue.subject.endswith(target)
        self.queues.end(attempt, seconds)


def subjects(attempts: list[Attempt]) -> list[str]:
    return [attempt.queue.subject for attempt in attempts]


def test_the_messages_of_a_target_are_attempted_in_their_order() -> None:
    bus = Bus()
    subject = bus.put("r", "t", 3)
    assert bus.do_all() == [subject] * 3
    assert len(bus.queues) == 0


def test_messages_that_a_scan_has_found_are_all_attempted() -> None:
    bus = Bus()
    subject = "deliveries.due.r.t"
    bus.stored[subject] = [3, 5, 9]
    bus.queues.add(subject)
    assert bus.do_all() == [subject] * 3
    assert len(bus.queues) == 0


def test_a_message_that_is_announced_while_the_last_is_looked_for_is_attempted() -> None:
    bus = Bus()
    subject = "deliveries.due.r.t"
    bus.queues.add(subject)
    attempt = bus.queues.start()
    assert attempt is not None
    bus.put("r", "t")
    bus.queues.take_nothing(attempt.queue)
    bus.queues.end(attempt, None)
    assert bus.do_all() == [subject]


def test_while_one_attempt_takes_a_message_no_other_takes_the_same() -> None:
    bus = Bus()
    bus.know("r", "t", 0.1)
    subject = bus.put("r", "t")
    taking = bus.queues.start()
    assert taking is not None
    bus.put("r", "t", 2)
    assert bus.queues.start() is None
    bus.queues.take(taking.queue, bus.stored[subject][-3])
    other = bus.queues.start()
    assert other is not None
    bus.queues.end(taking, 0.1)
    assert bus.queues.start() is None
    bus.queues.take(other.queue, bus.stored[subject][-2])
    bus.queues.end(other, 0.1)
    assert bus.do_all() == [subject]


def test_an_announcement_of_a_message_that_is_gone_ends() -> None:
    bus = Bus()
    bus.queues.announce("deliveries.due.r.t", 7)
    assert bus.do_all() == []
    assert len(bus.queues) == 0


def test_a_target_has_no_more_attempts_at_once_than_its_limit() -> None:
    bus = Bus()
    bus.know("r", "t", 0.1)
    bus.put("r", "t", 10)
    assert len(bus.start_all()) == LIMITS.per_target


def test_a_receiver_has_no_more_attempts_at_once_than_its_limit() -> None:
    bus = Bus()
    bus.know("r", "t", 0.1)
    for target in range(100):
        bus.put("r", str(target))
    assert len(bus.start_all()) == LIMITS.per_host


def test_the_targets_of_a_receiver_take_turns() -> None:
    bus = Bus()
    many, one = bus.put("r", "many", 100), bus.put("r", "one")
    assert bus.do_all()[:2] == [many, one]


def test_receivers_take_turns_whatever_the_number_of_their_targets() -> None:
    bus = Bus()
    for target in range(100):
        bus.put("r", str(target))
    other = bus.put("s", "t")
    assert other in bus.do_all()[:2]


def test_a_receiver_that_always_gets_new_messages_keeps_its_turn() -> None:
    bus = Bus()
    for receiver in ("r0", "r1", "r2", "steady"):
        bus.know(receiver, "t", 0.1)
    others = [bus.put(f"r{number}", "t", 50) for number in range(3)]
    steady = bus.put("steady", "t")
    done = []
    for _ in range(8):
        attempt = bus.start()
        assert attempt is not None
        done.append(attempt.queue.subject)
        bus.put("steady", "t")
        bus.queues.end(attempt, 0.1)
        bus.put("steady", "t")
    assert steady in done
    assert set(done) == {steady, *others}


def test_a_hanging_target_has_one_attempt_at_a_time_and_others_at_its_receiver_go_on() -> None:
    bus = Bus()
    bus.know("r", "hanging", 15)
    bus.know("r", "healthy", 0.1)
    hanging, healthy = bus.put("r", "hanging", 50), bus.put("r", "healthy", 2)
    assert sorted(subjects(bus.start_all())) == sorted([healthy, healthy, hanging])


def test_hanging_receivers_leave_room_for_the_others() -> None:
    bus = Bus()
    for number in range(100):
        bus.put(f"hanging-{number}", "t", 10)
    bus.do_all(seconds=15)
    for number in range(100):
        bus.put(f"hanging-{number}", "t", 10)
    assert len(bus.start_all()) == 2, "an eighth"
    unknown = bus.put("new", "t")
    assert subjects(bus.start_all()) == [unknown]


def test_fast_receivers_have_room_while_all_others_hang() -> None:
    bus = Bus()
    bus.know("fast", "t", 0.1)
    for number in range(1000):
        bus.put(f"new-{number}", "t")
    while attempts := bus.start_all():
        for attempt in attempts:
            bus.queues.move(attempt, Speed.HANGING)
    assert bus.queues.running == LIMITS.attempts
    fast = bus.put("fast", "t")
    assert subjects(bus.start_all()) == [fast]


def test_an_attempt_that_slows_down_makes_room_for_another_new_receiver() -> None:
    bus = Bus()
    for number in range(10):
        bus.put(f"new-{number}", "t")
    started = bus.start_all()
    assert len(started) == 4, "a quarter"
    bus.queues.move(started[0], Speed.SLOW)
    assert len(bus.start_all()) == 1


def test_a_target_that_is_fast_again_has_all_its_room_again() -> None:
    bus = Bus()
    bus.know("r", "t", 15)
    bus.know("r", "t", 0.1)
    bus.put("r", "t", 10)
    assert len(bus.start_all()) == LIMITS.per_target


def test_new_targets_at_a_hanging_receiver_count_as_hanging() -> None:
    bus = Bus()
    bus.know("r", "t", 15)
    for target in range(100):
        bus.put("r", f"new-{target}")
    assert len(bus.start_all()) == 1


def test_targets_that_waited_while_their_receiver_became_slow_count_as_slow() -> None:
    bus = Bus()
    for target in range(100):
        bus.put("r", str(target))
    started = bus.start_all()
    assert len(started) == 4
    for attempt in started:
        bus.queues.end(attempt, 15)
    assert len(bus.start_all()) == 1


def test_every_message_is_attempted_once_with_any_mixture_of_speeds() -> None:
    bus = Bus()
    expected = []
    for number in range(300):
        subject = bus.put(f"r{number % 7}", f"t{number % 31}")
        expected.append(subject)
    done, running, seconds = [], bus.start_all(), [0.1, 2.0, 15.0, 0.5]
    while running:
        attempt = running.pop(0)
        done.append(attempt.queue.subject)
        bus.queues.end(attempt, seconds[len(done) % 4])
        running += bus.start_all()
    assert sorted(done) == sorted(expected)
    assert (len(bus.queues), bus.queues.running) == (0, 0)


def test_a_delivery_of_the_previous_release_has_a_queue_of_its_own() -> None:
    bus = Bus()
    bus.queues.add("deliveries.msg_1")
    bus.stored["deliveries.msg_1"] = [4]
    assert bus.do_all() == ["deliveries.msg_1"]


def test_all_ports_of_a_host_share_its_limit() -> None:
    bus = Bus(LIMITS._replace(attempts=32))
    for port in range(20):
        bus.put(f"host_{port}", f"w{port}")
    bus.put("other_1", "healthy")
    started = [attempt.queue.receiver.name for attempt in bus.start_all()]
    assert len([name for name in started if name.startswith("host_")]) == LIMITS.per_host
    assert "other_1" in started


def test_the_ports_of_a_host_take_turns_once_one_of_their_attempts_ends() -> None:
    bus = Bus()
    for port in range(6):
        bus.put(f"host_{port}", f"w{port}")
    first, *_ = bus.start_all()
    bus.queues.end(first, 0.1)
    [more] = bus.start_all()
    assert more.queue.receiver.name == "host_4"


def test_a_hanging_port_does_not_make_the_other_ports_of_its_host_wait() -> None:
    bus = Bus()
    bus.know("host_1", "hangs", 15)
    bus.know("host_2", "fast", 0.1)
    bus.put("host_1", "hangs", 3)
    bus.put("host_2", "fast", 2)
    started = [attempt.queue.subject for attempt in bus.start_all()]
    assert sorted(started) == sorted(
        [*["deliveries.due.host_2.fast"] * 2, "deliveries.due.host_1.hangs"]
    )


def test_a_host_that_hangs_at_many_ports_has_one_attempt_in_the_share_of_those_that_hang() -> None:
    bus = Bus()
    for port in range(6):
        bus.know(f"host_{port}", f"w{port}", 15)
    bus.know("other_1", "hangs", 15)
    for port in range(6):
        bus.put(f"host_{port}", f"w{port}")
    bus.put("other_1", "hangs")
    assert len([a for a in bus.start_all() if a.queue.receiver.name.startswith("host_")]) == 1


def test_nothing_is_remembered_of_a_host_without_deliveries() -> None:
    bus = Bus()
    for port in range(6):
        bus.put(f"host_{port}", f"w{port}")
    bus.do_all()
    assert (len(bus.queues), bus.queues._hosts, bus.queues._receivers) == (0, {}, {})


def test_new_and_repeated_deliveries_of_a_target_share_its_limit_and_its_speed() -> None:
    bus = Bus()
    bus.know("r", "t", 0.1)
    for number in range(1, 11):
        bus.queues.announce("deliveries.due.r.t", number)
        bus.queues.announce("deliveries.new.r.t", number)
    started = []
    while attempt := bus.queues.start():
        bus.queues.take(attempt.queue, attempt.queue.cursor)
        started.append(attempt)
    assert len(started) == LIMITS.per_target
    assert {attempt.share for attempt in started} == {Speed.FAST}
    assert {attempt.queue.subject for attempt in started} == {
        *("deliveries.due.r.t", "deliveries.new.r.t")
    }
    bus.queues.end(started[0], 0.1)
    assert bus.queues.start() is not None
