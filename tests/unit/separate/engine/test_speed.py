"""What a process measures of its models."""

from types import SimpleNamespace

import pytest

from functions.separate.engine import speed as speed_module
from functions.separate.engine.speed import MeasuredSpeed


def test_a_model_that_never_ran_has_no_measurement() -> None:
    assert MeasuredSpeed().expected_seconds("a", 100) is None


def test_the_expected_time_is_proportional_to_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=iter([0.0, 6.0]).__next__)
    monkeypatch.setattr(speed_module, "time", clock)
    speed = MeasuredSpeed()
    on_progress = speed.measure("a", 3, lambda _: None)
    on_progress(0.0)
    on_progress(1.0)
    assert speed.expected_seconds("a", 1) == 2.0
    assert speed.expected_seconds("a", 2) == 4.0


def test_models_are_measured_on_their_own() -> None:
    speed = MeasuredSpeed()
    on_progress = speed.measure("a", 1, lambda _: None)
    on_progress(0.0)
    on_progress(1.0)
    assert speed.expected_seconds("a", 1) is not None
    assert speed.expected_seconds("b", 1) is None


def test_work_that_only_began_is_no_measurement() -> None:
    speed = MeasuredSpeed()
    speed.measure("a", 1, lambda _: None)(0.0)
    assert speed.expected_seconds("a", 1) is None


def test_every_progress_is_passed_on() -> None:
    shares: list[float] = []
    on_progress = MeasuredSpeed().measure("a", 1, shares.append)
    for share in (0.0, 0.5, 1.0):
        on_progress(share)
    assert shares == [0.0, 0.5, 1.0]
