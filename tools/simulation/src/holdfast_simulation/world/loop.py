"""An event loop with virtual time and a seeded schedule, on which several processes ("nodes") live side by side.

Every callback belongs to the node whose code scheduled it. Within a node callbacks run in the order that asyncio
promises; whose turn it is, the seed decides. Time stands still while anything can run, then jumps to the next timer.
A crashed node's callbacks never run again: no `finally`, no `except`, as after a kill -9 (a cancel is not a crash).
"""

import asyncio
import contextlib
import heapq
import logging
import random
import weakref
from asyncio.events import Handle, TimerHandle
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

MAX_STEPS_AT_ONE_INSTANT = 50_000
"""More callbacks without any time passing are a loop that never waits."""


class Spinning(Exception):
    """Something turns for ever without waiting."""


class Stalled(Exception):
    """Something is awaited, but nothing can run and no timer is set."""


@dataclass(slots=True, eq=False)
class Node:
    """One process of the world. A restarted process is another node."""

    name: str
    alive: bool = True
    paused_until_secs: float = 0.0
    ready: deque[Handle] = field(default_factory=deque)
    tasks: "weakref.WeakSet[asyncio.Task[Any]]" = field(default_factory=weakref.WeakSet)


_NODE: ContextVar[Node | None] = ContextVar("node", default=None)


class SeededLoop(asyncio.BaseEventLoop):
    """`chance` decides whose turn it is; `steps` counts the callbacks that ran."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.outside = Node("outside")
        """The venue, the network, and whoever watches: it never crashes and never pauses."""
        self.steps = 0
        self.failures: list[str] = []
        """Errors that nobody took."""
        self.idle: Callable[[], bool] = lambda: False
        """Asked before time jumps, while nothing can run: true where it has given somebody something to do."""
        self._chance = chance
        self._now_secs = 0.0
        self._timers: list[tuple[float, int, TimerHandle]] = []
        self._timer_number = 0
        self._steps_now = 0
        self._nodes: dict[Node, None] = {self.outside: None}
        self._graves: list[asyncio.Task[Any]] = []
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._note_failure)

    # --- nodes

    @contextmanager
    def inside(self, node: Node) -> Generator[None]:
        """What is scheduled inside belongs to `node`."""
        token = _NODE.set(node)
        try:
            yield
        finally:
            _NODE.reset(token)

    @property
    def node(self) -> Node:
        """Whose code is running."""
        return _NODE.get() or self.outside

    def crash(self, node: Node) -> None:
        """Nothing of `node` ever runs again."""
        node.alive = False
        # First of all: a suspended coroutine that is collected as garbage would run its `finally`.
        self._graves.extend(node.tasks)
        node.ready.clear()
        self._nodes.pop(node, None)

    def pause(self, node: Node, secs: float) -> None:
        """`node` stands still for so long, as a stopped process does; the world goes on."""
        node.paused_until_secs = max(node.paused_until_secs, self._now_secs + secs)
        with self.inside(self.outside):
            self.call_later(secs, _nothing)

    def start(self, node: Node, coro: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """A task of `node` that takes nothing over from whoever starts it."""
        context = Context()
        context.run(_NODE.set, node)
        task = asyncio.Task(coro, loop=self, context=context)
        node.tasks.add(task)
        return task

    def later(self, secs: float, do: Callable[[], object]) -> TimerHandle:
        """The world does it after so long, whatever becomes of the node that asked for it."""
        return self.call_later(max(secs, 0.0), do, context=Context())

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Runs `main` to its end, on this thread. Raises Stalled, Spinning, and whatever `main` raises."""
        asyncio._set_running_loop(self)
        self._thread_id = 1
        try:
            with self.inside(self.outside):
                task = self.create_task(main)
            while not task.done():
                self._step()
            return task.result()
        finally:
            self._thread_id = None  # type: ignore[assignment]  # the stub forgets that a loop may stand still
            asyncio._set_running_loop(None)

    def clear_away(self) -> None:
        """The world is over: everything that is still suspended is closed, in whatever state it is."""
        # A span that ends outside of its own context complains of it.
        logging.disable(logging.CRITICAL)
        for task in (*asyncio.all_tasks(self), *self._graves):
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is pending on purpose
            coro = task.get_coro()
            # What it does in its last `finally` is done to nobody any more.
            with contextlib.suppress(Exception):
                if coro is not None:
                    coro.close()
        logging.disable(logging.NOTSET)
        self._graves.clear()
        self._timers.clear()
        for node in self._nodes:
            node.ready.clear()
        self.close()

    # --- what asyncio asks of a loop

    def time(self) -> float:
        """Virtual seconds."""
        return self._now_secs

    def call_soon(  # type: ignore[override]  # the stub ties arguments to the callback
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """See asyncio."""
        handle = Handle(callback, args, self, context)
        self._enqueue(handle)
        return handle

    def call_at(  # type: ignore[override]  # the stub ties arguments to the callback
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> TimerHandle:
        """See asyncio."""
        timer = TimerHandle(when, callback, args, self, context)
        self._timer_number += 1
        heapq.heappush(self._timers, (when, self._timer_number, timer))
        return timer

    def call_later(  # type: ignore[override]  # the stub ties arguments to the callback
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> TimerHandle:
        """See asyncio."""
        return self.call_at(self._now_secs + delay, callback, *args, context=context)

    def call_soon_threadsafe(self, *_: Any, **__: Any) -> NoReturn:  # type: ignore[override]  # there is no thread to call from
        """Refused: a thread would run outside the seed."""
        raise AssertionError("a thread in simulated code")

    def run_in_executor(self, *_: Any) -> NoReturn:  # type: ignore[override]  # as above
        """Refused: a thread would run outside the seed."""
        raise AssertionError("a thread in simulated code")

    def _timer_handle_cancelled(self, handle: TimerHandle) -> None:
        """Cancelled timers are dropped when their time comes."""

    # --- the schedule

    def _step(self) -> None:
        node = self._choose()
        if node is None:
            self._jump()
            return
        handle = node.ready.popleft()
        if handle.cancelled():
            return
        self.steps += 1
        self._steps_now += 1
        if self._steps_now > MAX_STEPS_AT_ONE_INSTANT:
            raise Spinning(f"{node.name} at {self._now_secs:.3f} s: {handle!r}")
        handle._run()

    def _choose(self) -> Node | None:
        able = [node for node in self._nodes if node.ready and node.paused_until_secs <= self._now_secs]
        if len(able) < 2:
            return able[0] if able else None
        return able[self._chance.randrange(len(able))]

    def _jump(self) -> None:
        if self.idle():
            self._steps_now = 0
            return
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not timers:
            raise Stalled("nothing can run, and no timer is set")
        if timers[0][0] > self._now_secs:
            self._now_secs = timers[0][0]
            self._steps_now = 0
        while timers and timers[0][0] <= self._now_secs:
            timer = heapq.heappop(timers)[2]
            if not timer.cancelled():
                self._enqueue(timer)

    def _enqueue(self, handle: Handle) -> None:
        context: Context = handle._context  # type: ignore[attr-defined]  # asyncio keeps it there
        node = context.get(_NODE) or self.outside
        if node.alive:
            self._nodes[node] = None
            node.ready.append(handle)

    def _make_task(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **options)
        self.node.tasks.add(task)
        return task

    def _note_failure(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")


def _nothing() -> None:
    """Only its instant matters."""
