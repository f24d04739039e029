"""Estimate the work of a separation without planning it.

A plan lists every window, and short windows with much overlap can be millions. So the work is
known, and can be refused, before there is a plan.
"""

from functions.separate.engine import SAMPLE_RATE, Model
from functions.separate.engine.overlap_add import MAX_SHIFT, window_cost
from microdemucs.options import Options
from microdemucs.work_estimate import WorkEstimate, output_bytes


def estimate_work(model: Model, stems: int, length: int, options: Options) -> WorkEstimate:
    """Return the work of separating `length` samples into so many stems.

    A shifted pass counts with the largest shift, so it may count one window too many.
    """
    shift = MAX_SHIFT if options.shifts else 0
    rounds = max(1, options.shifts)
    windows = samples = 0
    for engine in model.engines:
        size = int(SAMPLE_RATE * (options.segment or engine.segment))
        stride = int((1 - options.overlap) * size)
        count = rounds * -(-(length + shift) // stride)  # rounded up
        windows += count
        samples += count * window_cost(engine, size)
    return WorkEstimate(
        passes=rounds * len(model.engines),
        windows=windows,
        network_seconds=round(samples / SAMPLE_RATE, 3),
        output_bytes=output_bytes(stems, length / SAMPLE_RATE, options),
    )
