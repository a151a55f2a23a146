"""The loop that the world lives on: virtual time, order within a process, crashes after which nothing runs (TS-2)."""

import asyncio
import random
from collections.abc import Iterator

import pytest

from holdfast_simulation.world.loop import Node, SeededLoop, Spinning, Stalled


@pytest.fixture
def loop() -> Iterator[SeededLoop]:
    made = SeededLoop(random.Random(1))
    yield made
    made.clear_away()


def test_time_stands_still_until_nothing_else_can_run(loop: SeededLoop) -> None:
    async def main() -> float:
        await asyncio.sleep(3600)
        return loop.time()

    assert loop.run(main()) == 3600


def test_within_a_process_callbacks_keep_their_order(loop: SeededLoop) -> None:
    """What asyncio promises to production code holds here, too."""
    seen: list[int] = []

    async def main() -> None:
        for number in range(50):
            loop.call_soon(seen.append, number)
        await asyncio.sleep(1)

    loop.run(main())

    assert seen == list(range(50))


def order_of_turns(seed: int) -> list[str]:
    loop = SeededLoop(random.Random(seed))
    seen: list[str] = []

    async def turns(name: str) -> None:
        for _ in range(10):
            seen.append(name)
            await asyncio.sleep(0)

    async def main() -> None:
        for name in ("a", "b"):
            loop.start(Node(name), turns(name))
        await asyncio.sleep(1)

    loop.run(main())
    loop.clear_away()
    return seen


def test_whose_turn_it_is_the_seed_decides() -> None:
    assert order_of_turns(1) == order_of_turns(1)
    assert len({tuple(order_of_turns(seed)) for seed in range(20)}) > 10


def test_after_a_crash_nothing_of_a_process_runs(loop: SeededLoop) -> None:
    """As after a kill -9: no `finally`, no `except`; a cancel is another thing."""
    ran: list[str] = []
    node = Node("victim")

    async def victim() -> None:
        try:
            await asyncio.sleep(2)
        finally:
            ran.append("finally")

    async def main() -> None:
        loop.start(node, victim())
        await asyncio.sleep(1)
        loop.crash(node)
        await asyncio.sleep(5)

    loop.run(main())

    assert ran == []


def test_a_paused_process_goes_on_where_it_stood(loop: SeededLoop) -> None:
    seen: list[float] = []
    node = Node("paused")

    async def ticks() -> None:
        while True:
            seen.append(loop.time())
            await asyncio.sleep(1)

    async def main() -> None:
        loop.start(node, ticks())
        await asyncio.sleep(1.5)
        loop.pause(node, 10)
        await asyncio.sleep(12)

    loop.run(main())

    assert seen == [0, 1, 11.5, 12.5]


def test_threads_are_refused(loop: SeededLoop) -> None:
    async def main() -> None:
        await asyncio.to_thread(print)

    with pytest.raises(AssertionError, match="thread"):
        loop.run(main())


def test_what_never_waits_is_named(loop: SeededLoop) -> None:
    def turn() -> None:
        loop.call_soon(turn)

    async def main() -> None:
        turn()
        await asyncio.sleep(1)

    with pytest.raises(Spinning, match="outside"):
        loop.run(main())


def test_what_waits_for_nothing_is_told(loop: SeededLoop) -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stalled):
        loop.run(main())
