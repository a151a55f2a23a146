"""Supervised loops: a failure is recorded, counted and restarted with backoff, or given up loudly (CQ-1, PR-2)."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from holdfast_runtime.errors import AskPerson, HoldfastError
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.telemetry import metrics

FIRST_BACKOFF_SECS = 0.1
MAX_BACKOFF_SECS = 5.0
HEALTHY_AFTER_SECS = 30.0
MAX_FAILURES_IN_A_ROW = 20

log = structlog.get_logger()


class GaveUp(Exception):
    """A loop failed too often in a row: the process ends, and its controller restarts it."""


async def supervise(
    name: str, turn: Callable[[], Awaitable[None]], clock: MonotonicClock, progress: Callable[[], None]
) -> None:
    """Runs `turn` until it returns or the task is cancelled; restarts it after a failure.

    Raises GaveUp after MAX_FAILURES_IN_A_ROW failures that were each less than HEALTHY_AFTER_SECS apart,
    and AskPerson at once, since no restart helps.
    """
    failures = 0
    while True:
        began_secs = clock.now_secs()
        try:
            await turn()
            return
        except AskPerson:
            raise
        except HoldfastError as error:
            log.warning("loop.failed", loop=name, error=str(error), kind=type(error).__name__)
        except Exception:
            log.exception("loop.failed", loop=name)
        metrics.LOOP_FAILURES.labels(loop=name).inc()
        progress()
        failures = 1 if clock.now_secs() - began_secs > HEALTHY_AFTER_SECS else failures + 1
        if failures >= MAX_FAILURES_IN_A_ROW:
            metrics.LOOP_GIVEN_UP.labels(loop=name).set(1)
            log.error("loop.gave_up", loop=name, failures=failures)
            raise GaveUp(f"loop {name} failed {failures} times in a row")
        await clock.sleep(min(FIRST_BACKOFF_SECS * 2 ** (failures - 1), MAX_BACKOFF_SECS))
        metrics.LOOP_RESTARTS.labels(loop=name).inc()


def watch_for_end(task: asyncio.Task[None], ended: Callable[[BaseException | None], None]) -> None:
    """Tells `ended` when a supervised loop is over, with what ended it."""

    def done(finished: asyncio.Task[None]) -> None:
        if not finished.cancelled():
            ended(finished.exception())

    task.add_done_callback(done)
