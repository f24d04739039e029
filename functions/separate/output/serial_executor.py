"""Run calls one after the other in a thread, with few of them waiting."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

_MAX_PENDING = 2  # one that runs and one that waits: memory stays flat


class SerialExecutor:
    """Calls run in the order in which they are submitted.

    Leaving the context drops the calls that have not begun.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._pending: deque[Future[Any]] = deque()

    def submit(self, call: Callable[..., object], *arguments: Any) -> None:
        """Run `call` in the thread; wait first if too many calls are pending.

        Raises what an earlier call raised.
        """
        while len(self._pending) >= _MAX_PENDING:
            self._pending.popleft().result()
        self._pending.append(self._thread.submit(call, *arguments))

    def wait(self) -> None:
        """Wait until all calls have ended. Raises what one of them raised."""
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
