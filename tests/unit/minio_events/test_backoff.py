"""Exponential backoff per message."""

import pytest

from minio_events.backoff import Backoff
from minio_events.forward import Retry

FAILED, BUSY = Retry("answer 500"), Retry("answer 429", counted=False)


def delays(verdict: Retry, count: int, max_attempts: int = 50) -> list[float | None]:
    backoff = Backoff(max_attempts)
    return [backoff.next_delay("m", verdict) for _ in range(count)]


def test_a_failure_doubles_the_delay_up_to_five_minutes() -> None:
    assert delays(FAILED, 11) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_a_busy_function_doubles_the_delay_up_to_five_seconds() -> None:
    assert delays(BUSY, 5, max_attempts=2) == [1, 2, 4, 5, 5]


def test_a_busy_function_is_retried_without_end() -> None:
    assert delays(BUSY, 2000, max_attempts=2)[-1] == 5


@pytest.mark.parametrize(("after", "delay"), [(0.0, 1), (0.5, 1), (7.0, 7), (4000.0, 4000)])
@pytest.mark.parametrize("counted", [True, False])
def test_a_longer_retry_after_is_honoured(after: float, delay: float, counted: bool) -> None:
    assert delays(Retry("x", after, counted), 1) == [delay]


@pytest.mark.parametrize("max_attempts", [1, 3])
def test_only_the_last_failed_attempt_has_no_delay(max_attempts: int) -> None:
    assert delays(FAILED, max_attempts, max_attempts)[-1] is None
    assert None not in delays(FAILED, max_attempts - 1, max_attempts)


def test_a_busy_function_uses_up_no_attempts() -> None:
    backoff = Backoff(2)
    for verdict in (BUSY, FAILED, BUSY, BUSY):
        assert backoff.next_delay("m", verdict)
    assert backoff.next_delay("m", FAILED) is None


def test_messages_are_counted_separately() -> None:
    backoff = Backoff(2)
    backoff.next_delay("m", FAILED)
    assert backoff.next_delay("other", FAILED) == 1


def test_a_forgotten_message_starts_again_and_others_go_on() -> None:
    backoff = Backoff(2)
    for message in ("m", "other"):
        backoff.next_delay(message, FAILED)
    backoff.forget("m")
    assert backoff.next_delay("m", FAILED) == 1
    assert backoff.next_delay("other", FAILED) is None
