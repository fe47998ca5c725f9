"""An event loop whose clock jumps to the next thing that is due: hours pass in milliseconds."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Has its own time, in seconds from 1000. Not for code that waits for sockets."""

    def __init__(self) -> None:
        super().__init__()
        self._virtual = 1000.0

    def time(self) -> float:
        return self._virtual

    def _run_once(self) -> None:
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if not self._ready:  # type: ignore[attr-defined]
            due = [handle.when() for handle in scheduled if not handle.cancelled()]
            assert due, "everything waits and nothing will ever happen"
            self._virtual = max(self._virtual, min(due))
        super()._run_once()  # type: ignore[misc]


def run(main: Awaitable[T]) -> T:
    """Run `main` to its end in virtual time."""

    async def whole() -> T:
        return await main

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(whole())


def monotonic() -> float:
    """Return the running loop's time: a `monotonic` for what is under test."""
    return asyncio.get_running_loop().time()


async def cancelled(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and wait until they are done."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
