"""A thread in which one thing is done after the other, while few wait."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

_AT_ONCE = 2  # one that is worked on, one that waits: memory stays flat


class SerialExecutor:
    """Calls are done in their order. Leaving the context drops those that have not begun."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._pending: deque[Future[Any]] = deque()

    def do(self, call: Callable[..., object], *arguments: Any) -> None:
        """Have it called; wait first while too many wait. Raises what an earlier one raised."""
        while len(self._pending) >= _AT_ONCE:
            self._pending.popleft().result()
        self._pending.append(self._thread.submit(call, *arguments))

    def wait(self) -> None:
        """Until all is done. Raises what one of them raised."""
        while self._pending:
            self._pending.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown(cancel_futures=True)
