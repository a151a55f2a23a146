"""`holdfast up` that somebody stops ends what looks at the stack before the connections that it looks over."""

import asyncio

import pytest

from holdfast_cli.up import first_of


async def test_who_stops_up_leaves_nobody_behind_who_still_asks_the_stack() -> None:
    """Else it goes on over a connection that is closed, and the terminal shows a traceback."""
    asked, never = asyncio.Event(), asyncio.Event()
    told: list[str] = []

    async def looks() -> None:
        asked.set()
        try:
            await never.wait()
        finally:
            # It has a last word to say over the connection.
            await asyncio.sleep(0)
            told.append("ended")

    stack, look = asyncio.create_task(never.wait()), asyncio.create_task(looks())
    waiting = asyncio.create_task(first_of(stack, look))
    await asked.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert told == ["ended"]
    assert not stack.done()
    stack.cancel()


async def test_what_the_stack_broke_of_is_raised() -> None:
    async def breaks() -> None:
        raise ValueError("gate does not start")

    never = asyncio.Event()
    look = asyncio.create_task(never.wait())
    with pytest.raises(ValueError, match="gate does not start"):
        await first_of(asyncio.create_task(breaks()), look)
    assert look.cancelled()
