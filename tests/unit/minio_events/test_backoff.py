"""When a message comes again, and when it has been tried enough."""

import pytest

from minio_events.backoff import Backoff
from minio_events.forward import Retry

FAILED, BUSY = Retry("answer 500"), Retry("answer 429", counted=False)


def delays(verdict, count, most=50):
    attempts = Backoff(most)
    return [attempts.next_delay("m", verdict) for _ in range(count)]


def test_a_failure_doubles_the_delay_up_to_five_minutes():
    assert delays(FAILED, 11) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_busy_is_asked_again_every_five_seconds_for_ever():
    assert delays(BUSY, 5, most=2) == [1, 2, 4, 5, 5]
    assert delays(BUSY, 2000, most=2)[-1] == 5


@pytest.mark.parametrize(("after", "delay"), [(0.0, 1), (0.5, 1), (7.0, 7), (4000.0, 4000)])
@pytest.mark.parametrize("counted", [True, False])
def test_a_function_that_asks_for_more_gets_it(after, delay, counted):
    assert delays(Retry("x", after, counted), 1) == [delay]


@pytest.mark.parametrize("most", [1, 3])
def test_the_last_failure_has_no_delay(most):
    assert delays(FAILED, most, most)[-1] is None
    assert None not in delays(FAILED, most - 1, most)


def test_being_busy_does_not_use_up_attempts():
    attempts = Backoff(2)
    for verdict in (BUSY, FAILED, BUSY, BUSY):
        assert attempts.next_delay("m", verdict)
    assert attempts.next_delay("m", FAILED) is None


def test_messages_are_counted_apart_and_forgotten():
    attempts = Backoff(2)
    attempts.next_delay("m", FAILED)
    assert attempts.next_delay("other", FAILED) == 1
    attempts.forget("m")
    assert attempts.next_delay("m", FAILED) == 1
    assert attempts.next_delay("other", FAILED) is None
