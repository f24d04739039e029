"""Streaming overlap-add: separate a song of any length with networks that take a few seconds.

The result equals that of demucs.apply.apply_model (demucs 4.1; split, transition_power 1): same
windows, triangular weights, real context around a short last window, random shifts and ensembles.

The sum of all weights at a sample is known beforehand. So each estimate is divided by it before it
is added, and all shifts and engines share one accumulator. Memory depends neither on the song's
length nor on the number of passes. Ranges of windows can be separated independently: joined in
order, they equal the whole song bit for bit.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from functions.separate.engine import SAMPLE_RATE, Engine, Floats, Model, Seconds

MAX_SHIFT = SAMPLE_RATE // 2

Read = Callable[[int, int], Floats]
"""`read(start, stop)` returns [2, stop - start] of the normalized mix, zeros outside the song."""


class Window(NamedTuple):
    """The samples that an engine separates at once. All lengths are in samples.

    A pass is one walk of one engine over the song. `start` is negative at the beginning of a
    shifted pass. `engine` is an index of the model's engines. `position` is the number of windows
    that precede this one in its pass, `stride` the distance between their starts.
    """

    start: int
    engine: int
    position: int
    size: int
    stride: int


class Block(NamedTuple):
    """Consecutive separated samples, [sources, 2, n], of which the first is number `start`."""

    start: int
    samples: Floats


@dataclass(frozen=True, slots=True)
class Plan:
    """All windows of one separation, ordered by `start`. `length` is in samples."""

    model: Model
    length: int
    segment: Seconds
    shifts: int
    windows: list[Window]

    @staticmethod
    def of(
        model: Model,
        length: int,
        *,
        overlap: float = 0.25,
        segment: Seconds = 0,
        shifts: int = 0,
        seed: str = "",
    ) -> "Plan":
        """Plan the separation of `length` samples; the options are those of microdemucs.options.

        The same `seed` gives the same random shifts.
        """
        drawn = random.Random(seed)  # noqa: S311 (nothing secret)
        passes = []
        for index, engine in enumerate(model.engines):
            size = int(SAMPLE_RATE * (segment or engine.segment))
            stride = int((1 - overlap) * size)
            for _ in range(max(1, shifts)):
                first = drawn.randint(0, MAX_SHIFT) - MAX_SHIFT if shifts else 0
                starts = range(first, length, stride)
                passes.append([Window(at, index, k, size, stride) for k, at in enumerate(starts)])
        return Plan(model, length, segment, shifts, list(heapq.merge(*passes)))

    def reach(self, count: int) -> int:
        """Return the sample at which the furthest of the first `count` windows ends; 0 for none."""
        ends = (window.start + window.size for window in self.windows[:count])
        return min(self.length, max(ends, default=0))

    def network_seconds(self, windows: slice = slice(None)) -> float:
        """Return how many seconds of audio these windows put through a network."""
        engines, chosen = self.model.engines, self.windows[windows]
        samples = sum(window_cost(engines[window.engine], window.size) for window in chosen)
        return samples / SAMPLE_RATE

    def history(self) -> int:
        """Return how many samples before its predecessor's start a window may need to read."""
        sizes = {(window.engine, window.size) for window in self.windows}
        engines = self.model.engines
        return MAX_SHIFT + max(
            engines[index].input_length(size, self.segment) for index, size in sizes
        )


def window_cost(engine: Engine, size: int) -> int:
    """Return how many samples the network processes for a window of `size` samples.

    HTDemucs pads a shorter window to its own segment, so that takes as long as a whole one. Older
    networks do not; for them this is the most.
    """
    return max(size, int(SAMPLE_RATE * engine.segment))


def separate_windows(
    plan: Plan,
    read: Read,
    on_progress: Callable[[float], None],
    windows: slice = slice(None),
) -> Iterator[Block]:
    """Yield the separated blocks of these windows of the plan, by default of all.

    For all windows, each block begins where the previous one ends. If the first of `windows` is
    not the first of the plan, earlier windows overlap some of its samples. Those samples come as
    one block per window, because rounding depends on the order of additions: `join_ranges` adds
    them in the order of the whole song.

    `on_progress(share)` is called before each window with the share that is done, 0 to 1. An
    exception from it ends the work. Up to `Engine.concurrency` windows are in the engines at once;
    `read` and `on_progress` are called in the caller's thread only.
    """
    model, length, chosen = plan.model, plan.length, plan.windows[windows]
    totals = np.sum(model.weights, axis=0) * max(1, plan.shifts)
    shares = [np.divide(row, totals).astype(np.float32)[:, None, None] for row in model.weights]
    longest = max(window.size for window in chosen)
    sums = np.zeros((len(model.sources), 2, longest), np.float32)
    sums_start = reach = plan.reach(windows.start or 0)
    sums_end = sums_start  # no window was added beyond this sample
    estimates = _estimates(plan, chosen, read, on_progress)
    for number, window in enumerate(chosen):
        start = window.start
        stop = min(start + window.size, length)
        estimate = next(estimates)
        estimate *= shares[window.engine] * _weights_of(window)[: stop - start]
        first = max(start, 0)  # the samples of a shifted window before the song are dropped
        if first < reach:
            yield Block(first, estimate[..., first - start : reach - start].copy())
        begin = max(first, sums_start)
        if begin < stop:
            sums[..., begin - sums_start : stop - sums_start] += estimate[..., begin - start :]
            sums_end = max(sums_end, stop)
        is_last = number + 1 == len(chosen)
        final = sums_end if is_last else min(max(0, chosen[number + 1].start), sums_end)
        if final > sums_start:
            yield Block(sums_start, sums[..., : final - sums_start].copy())
            rest = sums[..., final - sums_start :].copy()
            sums[..., : rest.shape[-1]] = rest
            sums[..., rest.shape[-1] :] = 0
            sums_start = final


def join_ranges(
    plan: Plan, ranges: Sequence[slice], results: Iterable[Iterable[Block]]
) -> Iterator[Floats]:
    """Yield [sources, 2, n] of the whole song without gaps, from the blocks of all its ranges.

    `ranges` are consecutive and cover all windows of the plan; `results` has the blocks of each.
    """
    start, sums = 0, np.zeros((len(plan.model.sources), 2, 0), np.float32)
    next_starts = [max(0, plan.windows[following.start].start) for following in ranges[1:]]
    for blocks, next_start in zip(results, [*next_starts, plan.length], strict=True):
        for block in blocks:
            final = min(block.start, next_start)  # no later block begins before this sample
            if final > start:
                yield sums[..., : final - start]
                sums, start = sums[..., final - start :], final
            stop = block.start - start + block.samples.shape[-1]
            wider = np.zeros((*sums.shape[:-1], max(stop, sums.shape[-1])), np.float32)
            wider[..., : sums.shape[-1]] = sums
            wider[..., block.start - start : stop] += block.samples
            sums = wider
        if next_start > start:
            yield sums[..., : next_start - start]
            sums, start = sums[..., next_start - start :], next_start


def _estimates(
    plan: Plan,
    windows: Sequence[Window],
    read: Read,
    on_progress: Callable[[float], None],
) -> Iterator[Floats]:
    """Yield [sources, 2, n] of each window, in order, while engines work on the next ones."""
    concurrency = min(engine.concurrency for engine in plan.model.engines)
    pending: deque[Future[Floats]] = deque()
    with ThreadPoolExecutor(concurrency) as pool:
        try:
            for begun, window in enumerate(windows):
                while len(pending) >= concurrency:
                    yield pending.popleft().result()
                on_progress((begun - len(pending)) / len(windows))
                pending.append(pool.submit(_separation(plan, window, read)))
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _separation(plan: Plan, window: Window, read: Read) -> Callable[[], Floats]:
    """Read a window's samples, with the song around them as context; return its separation."""
    n = min(window.size, plan.length - window.start)
    engine = plan.model.engines[window.engine]
    length = engine.input_length(n, plan.segment)
    left = (length - n) // 2
    mix = read(window.start - left, window.start - left + length)
    return lambda: engine.separate(mix)[..., left : left + n]


def _weights_of(window: Window) -> Floats:
    furthest = (window.size - 1) // window.stride  # windows further back do not overlap it
    return _weights(window.size, window.stride, min(window.position, furthest))


@lru_cache(maxsize=32)
def _weights(size: int, stride: int, preceding: int) -> Floats:
    """Return a window's triangular weights, divided by the sum of all weights at each sample.

    `preceding` is the number of earlier windows of the pass that overlap it.
    """
    rising = np.arange(1, size // 2 + 1)
    triangle = np.concatenate([rising, np.arange(size - size // 2, 0, -1)], dtype=np.float64)
    sums = np.zeros(size)
    for number in range(-preceding, (size - 1) // stride + 1):
        offset = number * stride
        first, stop = max(0, offset), min(size, offset + size)
        sums[first:stop] += triangle[first - offset : stop - offset]
    return (triangle / sums).astype(np.float32)
