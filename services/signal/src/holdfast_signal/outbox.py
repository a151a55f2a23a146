"""Market data and quarantined input on their way to the bus: bounded, in order, and never in the way of prices.

While the bus is away they wait; the stop monitor and the gates, which watch prices directly, do not.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from holdfast_runtime.bus.streams import MARKET
from holdfast_runtime.errors import GiveUp, Retry
from holdfast_runtime.ports.activity import Activity
from holdfast_runtime.ports.bus import Bus
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.telemetry import metrics
from holdfast_signal.idle import wait_for

CAPACITY = 20_000
BATCH = 64
IDLE_SECS = 2.0
RETRY_SECS = 0.2

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One message to be published."""

    subject: str
    payload: bytes
    message_id: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Outbox:
    """Publishes letters in order. Unsettled while it holds any."""

    def __init__(self, *, bus: Bus, clock: MonotonicClock, activity: Activity, progress: Callable[[], None]) -> None:
        self._bus = bus
        self._clock = clock
        self._activity = activity
        self._progress = progress
        self._letters: deque[Letter] = deque()
        self._filled = asyncio.Event()
        activity.settled_when(lambda: not self._letters)

    def __len__(self) -> int:
        return len(self._letters)

    def put(self, letter: Letter) -> None:
        """Takes a letter. The oldest gives way where the bus has been away for long: it is in the venue's history."""
        if len(self._letters) >= CAPACITY:
            lost = self._letters.popleft()
            log.error("outbox.full", subject=lost.subject, message_id=lost.message_id)
            metrics.BUS_PUBLISH_FAILURES.labels(MARKET).inc()
        self._letters.append(letter)
        self._filled.set()

    async def run(self) -> None:
        """Publishes until cancelled."""
        while True:
            self._progress()
            if not self._letters:
                self._filled.clear()
                await wait_for(self._filled, IDLE_SECS)
                continue
            try:
                await self._publish_batch()
            except Retry as error:
                log.info("outbox.waiting", letters=len(self._letters), reason=str(error))
                await self._clock.sleep(max(RETRY_SECS, error.after_secs))

    async def _publish_batch(self) -> None:
        batch = [self._letters[place] for place in range(min(BATCH, len(self._letters)))]
        outcomes = await asyncio.gather(
            *(
                self._bus.publish(each.subject, each.payload, message_id=each.message_id, headers=each.headers)
                for each in batch
            ),
            return_exceptions=True,
        )
        for each, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, GiveUp):
                # The bus will never take it, and what stands behind it must not wait for ever.
                log.error("outbox.refused", subject=each.subject, message_id=each.message_id, reason=str(outcome))
                metrics.BUS_PUBLISH_FAILURES.labels(MARKET).inc()
            elif isinstance(outcome, BaseException):
                # The rest of the batch may be stored already: the same ids again store nothing.
                raise outcome
            if self._letters and self._letters[0] is each:
                self._letters.popleft()
        if not self._letters:
            self._activity.changed()
