"""What the broker has no order to sell for: a stop is placed for no more than that.

A stop that was replaced, and is not over yet, holds every share: what is posted beside it would only be refused.
"""

import asyncio
from decimal import Decimal

import structlog

from holdfast_core.money import ZERO
from holdfast_execution.domain.views import HoldingView, Phase, Role
from holdfast_execution.guard import NO_GOOD_ANSWER
from holdfast_execution.waiting import POSITIONS_SECS, Backoffs
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.ports.venue import Broker, BrokerPosition

log = structlog.get_logger()

POSITIONS = "positions"
"""Name of the question for the broker's positions among what is tried again."""
AGAIN_SECS = 2.0
"""Longest wait before the broker is asked again about a symbol of which nothing is free: well below the 5 s in which
what is held has its stop (invariant 7)."""


class Unsold:
    """Asks the broker, symbol by symbol, and not at once again where nothing is free."""

    def __init__(self, broker: Broker, clock: MonotonicClock, *, first_secs: float) -> None:
        self._broker = broker
        self._unanswered = Backoffs(clock, first_secs=first_secs)
        self._nothing_free = Backoffs(clock, first_secs=first_secs, limit_secs=AGAIN_SECS)

    def wait_secs(self, symbol: str) -> float:
        """Seconds until the broker may be asked about `symbol` again; zero where it may be now."""
        return self._nothing_free.wait_secs(symbol)

    def nudge(self) -> None:
        """The broker can be reached again."""
        self._unanswered.clear()
        self._nothing_free.clear()

    def failures(self, symbol: str) -> int:
        """How often in a row nothing was free."""
        return self._nothing_free.failures(symbol)

    async def of(self, holding: HoldingView, *, refused: bool) -> Decimal:
        """Shares or coins that a further stop may be about. `refused`: a stop of the symbol was, lately.

        The ledger's word for a first stop, which waits for no question, and where the broker gives none soon: no stop
        waits longer, and the others of that moment not at all. Coins cannot be short: for theirs the broker is asked
        once it has refused.
        """
        stops = [order for order in holding.of(Role.STOP) if order.phase is Phase.LIVE and not order.dormant]
        first = not stops and (holding.stop_price is None or holding.book != "equity")
        if (first and not refused) or self._unanswered.wait_secs(POSITIONS):
            return holding.quantity
        try:
            async with asyncio.timeout(POSITIONS_SECS):
                positions = await self._broker.positions()
        except (*NO_GOOD_ANSWER, TimeoutError) as error:
            log.warning("protection.position_unknown", symbol=holding.symbol, error=str(error))
            self._unanswered.failed(POSITIONS, at_least_secs=POSITIONS_SECS)
            return holding.quantity
        self._unanswered.succeeded(POSITIONS)
        position = next((each for each in positions if each.symbol == holding.symbol), None)
        unsold = holding.lot.tradable(_free(position, sum((order.remaining for order in stops), ZERO)))
        if unsold > 0:
            self._nothing_free.succeeded(holding.symbol)
        else:
            # Replaced and not over yet; or liquidated, merged, renamed: where short sales are allowed, a stop would
            # open one.
            log.error("protection.nothing_free", symbol=holding.symbol, ledger=str(holding.quantity))
            self._nothing_free.failed(holding.symbol)
        return unsold


def _free(position: BrokerPosition | None, for_sale: Decimal) -> Decimal:
    if position is None:
        return ZERO
    free = position.quantity - for_sale
    return free if position.available is None else min(free, position.available)
