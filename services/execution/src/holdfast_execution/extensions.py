"""Day stops that are to outlive the close, and those that leave a part free: each PATCH of one puts the next off."""

from collections.abc import Awaitable, Container, Hashable
from decimal import Decimal

import structlog

from holdfast_execution.guard import NO_GOOD_ANSWER
from holdfast_execution.rows import IntentRow
from holdfast_execution.sales import Hands
from holdfast_execution.waiting import Backoffs
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.ports.venue import Unauthorised

log = structlog.get_logger()

LIMIT_SECS = 30.0
"""A stop is asked for some 25 times in the ten minutes before the close, whatever the broker makes of it."""


class Extensions:
    """Asks for them. A broker may reject a replacement long after it has answered well (order protocol, point 12), so
    an answer ends no pause; and nothing but the stop's own next replacement waits: its symbol is protected and sold."""

    def __init__(self, hands: Hands, clock: MonotonicClock, *, first_secs: float) -> None:
        self._hands = hands
        self._backoffs = Backoffs(clock, first_secs=first_secs, limit_secs=LIMIT_SECS)

    def wait_secs(self, intent_id: str) -> float:
        """Seconds until that stop may be asked for again; zero where it may be now."""
        return self._backoffs.wait_secs(intent_id)

    def asked(self, intent_id: str) -> int:
        """PATCHes of that stop, since the process began."""
        return self._backoffs.failures(intent_id)

    async def ask(self, stop: IntentRow) -> None:
        """Replaces it by one that is good till cancelled, if the broker will. Raises Unauthorised."""
        await self._ask(stop, self._hands.extend(stop))

    async def shrink(self, stop: IntentRow, quantity: Decimal) -> None:
        """Replaces it by one for `quantity`, if the broker will. Raises Unauthorised."""
        await self._ask(stop, self._hands.shrink(stop, quantity))

    async def _ask(self, stop: IntentRow, patch: Awaitable[bool]) -> None:
        self._backoffs.failed(stop.intent_id)
        taken = False
        try:
            taken = await patch
        except Unauthorised:
            raise
        except NO_GOOD_ANSWER as error:
            log.warning("protection.replacement_unknown", intent=stop.intent_id, error=str(error))
        asked, again_secs = self.asked(stop.intent_id), self.wait_secs(stop.intent_id)
        if not taken or asked > 1:
            log.warning("protection.replacement_waits", intent=stop.intent_id, asked=asked, again_after_secs=again_secs)

    def nudge(self) -> None:
        """The broker can be reached again."""
        self._backoffs.clear()

    def forget(self, open_intents: Container[Hashable]) -> None:
        """Drops what is remembered of stops that are over."""
        self._backoffs.keep(open_intents)
