"""Waiting for what other loops of this process bring, and reading streams that may be silent for long."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TypeVar

T = TypeVar("T")

IDLE_SECS = 2.0
"""A silent stream gives a turn after so long, so that liveness sees a loop that waits and one that is stuck apart."""


class Changes:
    """Wakes whoever waits for a condition, each time that something it may depend on has changed."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def happened(self) -> None:
        """Something changed: conditions are looked at again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], bool], *, timeout_secs: float) -> bool:
        """True as soon as `condition` holds; False where it did not within `timeout_secs` of monotonic time."""
        try:
            async with asyncio.timeout(max(timeout_secs, 0.0)):
                while not condition():
                    await self._changed.wait()
        except TimeoutError:
            return condition()
        return True


async def with_idle_turns(stream: AsyncIterator[T], idle_secs: float = IDLE_SECS) -> AsyncGenerator[T | None, None]:
    """The items of `stream` as they come, and None whenever it was silent for `idle_secs`."""
    following: asyncio.Future[T] = asyncio.ensure_future(anext(stream))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=idle_secs)
            if not done:
                yield None
                continue
            try:
                item = following.result()
            except StopAsyncIteration:
                return
            yield item
            following = asyncio.ensure_future(anext(stream))
    finally:
        following.cancel()
