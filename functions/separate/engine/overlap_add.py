"""A song of any length through networks that hear a few seconds: the streaming overlap-add.

It gives what demucs.apply.apply_model gives (demucs 4.1; split, transition_power 1): the same
windows, triangular weights, real context around a short last piece, random shifts and bags. As
the sum of the weights at a sample is known beforehand, each estimate is added already divided by
it, to one accumulator that all shifts and all models of a bag share. So memory depends neither on
the song's length nor on how many passes there are, and what ranges of windows give each for
itself, added in their order where they meet, is bit for bit what all windows give together.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from functions.separate.engine import SAMPLE_RATE, Floats, Model, Seconds

MAX_SHIFT = SAMPLE_RATE // 2

Window = tuple[int, int, int, int, int]
"""Where it starts (before the song where it is shifted), which engine hears it, how many windows
of its pass came before it, its length and the pass's stride; in samples."""

Block = tuple[int, Floats]
"""Where it starts, in samples, and [sources, 2, n]."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All windows of one separation, by where they start."""

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
        """A plan for `length` samples, with the options as microdemucs.options has them.

        `seed` draws the shifts: the same seed, the same shifts.
        """
        drawn = random.Random(seed)  # noqa: S311 (nothing secret)
        passes = []
        for engine, network in enumerate(model.engines):
            size = int(SAMPLE_RATE * (segment or network.segment))
            stride = int((1 - overlap) * size)
            for _ in range(max(1, shifts)):
                first = drawn.randint(0, MAX_SHIFT) - MAX_SHIFT if shifts else 0
                starts = range(first, length, stride)
                passes.append([(at, engine, k, size, stride) for k, at in enumerate(starts)])
        return Plan(model, length, segment, shifts, list(heapq.merge(*passes)))

    def reach(self, first: int) -> int:
        """Where the furthest of the windows before number `first` ends, in samples; 0 for none."""
        ends = (start + size for start, _, _, size, _ in self.windows[:first])
        return min(self.length, max(ends, default=0))

    def history(self) -> int:
        """How far a window may reach back behind an earlier one, in samples."""
        sizes = {(engine, size) for _, engine, _, size, _ in self.windows}
        engines = self.model.engines
        return MAX_SHIFT + max(engines[one].window(size, self.segment) for one, size in sizes)


def separate(
    plan: Plan,
    read: Callable[[int, int], Floats],
    check: Callable[[float], None],
    part: slice = slice(None),
) -> Iterator[Block]:
    """Yield the estimates, ordered by where they start: of all windows, one block ends where the
    next begins.

    `part` chooses a range of the plan's windows. Where it does not begin with the first one, what
    each window adds to the reach of earlier ones is a block of its own, since the order in which
    numbers are added decides their last bit: `joined` adds them in that of the whole.

    `read(start, stop)` gives [2, stop - start] of the normalised mix, 0 outside of it.
    `check(share)` is called before each window with the share that is done; what it raises ends
    the work. Up to `parallel` windows are with an engine at once; `read` and `check` are called by
    the caller's thread only.
    """
    model, length, windows = plan.model, plan.length, plan.windows[part]
    totals = np.sum(model.weights, axis=0) * max(1, plan.shifts)
    shares = [np.divide(row, totals).astype(np.float32)[:, None, None] for row in model.weights]
    longest = max(size for _, _, _, size, _ in windows)
    sums = np.zeros((len(model.sources), 2, longest), np.float32)
    at = reach = plan.reach(part.start or 0)  # where the accumulator begins
    end = at  # what was added to it reaches here
    estimates = _estimates(plan, windows, read, check)
    for done, (start, engine, before, size, stride) in enumerate(windows):
        n = min(size, length - start)
        estimate = next(estimates)
        estimate *= shares[engine] * _weights(size, stride, min(before, (size - 1) // stride))[:n]
        first = max(start, 0)  # shifted windows begin before the song: that part is dropped
        if first < reach:
            yield first, estimate[..., first - start : reach - start].copy()
        begin = max(first, at)
        if begin < start + n:
            sums[..., begin - at : start + n - at] += estimate[..., begin - start :]
            end = max(end, start + n)
        last = done + 1 == len(windows)
        final = end if last else min(max(0, windows[done + 1][0]), end)
        if final > at:
            yield at, sums[..., : final - at].copy()
            rest = sums[..., final - at :].copy()
            sums[..., : rest.shape[-1]] = rest
            sums[..., rest.shape[-1] :] = 0
            at = final


def joined(
    plan: Plan, parts: Sequence[slice], results: Iterable[Iterable[Block]]
) -> Iterator[Floats]:
    """Yield [sources, 2, n] from 0 on without a gap: what all ranges gave, added in their order.

    `results` are those of `parts`, which together are all windows.
    """
    at, held = 0, np.zeros((len(plan.model.sources), 2, 0), np.float32)
    followed_by = [max(0, plan.windows[part.start][0]) for part in parts[1:]] + [plan.length]
    for blocks, next_begins in zip(results, followed_by, strict=True):
        for start, block in blocks:
            final = min(start, next_begins)  # nothing that is yet to come begins before
            if final > at:
                yield held[..., : final - at]
                held, at = held[..., final - at :], final
            stop = start - at + block.shape[-1]
            wider = np.zeros((*held.shape[:-1], max(stop, held.shape[-1])), np.float32)
            wider[..., : held.shape[-1]] = held
            wider[..., start - at : stop] += block
            held = wider
        if next_begins > at:
            yield held[..., : next_begins - at]
            held, at = held[..., next_begins - at :], next_begins


def _estimates(
    plan: Plan,
    windows: Sequence[Window],
    read: Callable[[int, int], Floats],
    check: Callable[[float], None],
) -> Iterator[Floats]:
    """What the engine of each window hears in it, in order."""
    ahead = min(engine.parallel for engine in plan.model.engines)
    waiting: deque[Future[Floats]] = deque()
    with ThreadPoolExecutor(ahead) as pool:
        try:
            for begun, window in enumerate(windows):
                while len(waiting) >= ahead:
                    yield waiting.popleft().result()
                check((begun - len(waiting)) / len(windows))
                waiting.append(pool.submit(_question(plan, window, read)))
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _question(
    plan: Plan, window: Window, read: Callable[[int, int], Floats]
) -> Callable[[], Floats]:
    """What to have a window's engine do: its samples, with the song itself around them."""
    start, engine, _, size, _ = window
    n = min(size, plan.length - start)
    network = plan.model.engines[engine]
    seen = network.window(n, plan.segment)
    left = (seen - n) // 2
    mix = read(start - left, start - left + seen)
    return lambda: network.separate(mix)[..., left : left + n]


@lru_cache(maxsize=32)
def _weights(size: int, stride: int, before: int) -> Floats:
    """A window's triangle, divided by the sum of all triangles where it stands.

    `before` is how many windows stand before it, as far as they can reach into it.
    """
    rising = np.arange(1, size // 2 + 1)
    triangle = np.concatenate([rising, np.arange(size - size // 2, 0, -1)], dtype=np.float64)
    sums = np.zeros(size)
    for away in range(-before, (size - 1) // stride + 1):
        from_, to = max(0, away * stride), min(size, away * stride + size)
        sums[from_:to] += triangle[from_ - away * stride : to - away * stride]
    return (triangle / sums).astype(np.float32)
