"""Measure how fast this machine runs each model, while it separates songs."""

import time

from functions.separate.on_progress import OnProgress


class MeasuredSpeed:
    """The last measurement of each model: seconds for one second of audio in a network.

    The value is a wall time: it includes decoding and encoding, which happen beside the network.
    """

    def __init__(self) -> None:
        self._seconds_per_second: dict[str, float] = {}

    def expected_seconds(self, model: str, network_seconds: float) -> float | None:
        """Return how long so much work takes; None if the model has not been measured."""
        measured = self._seconds_per_second.get(model)
        return None if measured is None else round(measured * network_seconds, 1)

    def measure(self, model: str, network_seconds: float, on_progress: OnProgress) -> OnProgress:
        """Return a callback for the progress of so much work, which measures it.

        It calls `on_progress` too. The clock starts with its first call.
        """
        started: list[float] = []

        def on_measured_progress(share: float) -> None:
            if not started:
                started.append(time.monotonic())
            elif share > 0 and network_seconds > 0:
                elapsed = time.monotonic() - started[0]
                self._seconds_per_second[model] = elapsed / (share * network_seconds)
            on_progress(share)

        return on_measured_progress
