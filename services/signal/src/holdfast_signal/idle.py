"""Waiting in turns, so that a loop with nothing to do still shows progress."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import TypeVar

Item = TypeVar("Item")

IDLE_SECS = 2.0


async def wait_for(event: asyncio.Event, secs: float) -> None:
    """Waits for the event, at most so long. (In Python 3.11 asyncio.wait_for may swallow a cancellation.)"""
    with suppress(TimeoutError):
        async with asyncio.timeout(secs):
            await event.wait()


async def in_turns(stream: AsyncIterator[Item], idle: Callable[[], None]) -> AsyncIterator[Item]:
    """The items of `stream`; `idle` is called before each one, and every two seconds while none comes."""
    following: asyncio.Task[Item] | None = None
    try:
        while True:
            idle()
            if following is None:
                following = asyncio.create_task(_next(stream))
            await asyncio.wait({following}, timeout=IDLE_SECS)
            if following.done():
                done, following = following, None
                try:
                    item = done.result()
                except StopAsyncIteration:
                    return
                yield item
    finally:
        if following is not None:
            following.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await following


async def _next(stream: AsyncIterator[Item]) -> Item:
    return await anext(stream)
