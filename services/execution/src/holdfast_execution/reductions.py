"""Sells parts of positions, once their stops leave the part free (SY-2). A hand of the protective lane."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import structlog

from holdfast_execution.books import Books, Mirror
from holdfast_execution.domain.exits import BROKER_HOLDS_NOTHING
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_execution.domain.reductions import ReduceMove, ReduceStep, next_step, out_of_time
from holdfast_execution.domain.views import HoldingView, OrderView, Phase, Role
from holdfast_execution.guard import NO_GOOD_ANSWER
from holdfast_execution.holdings import Holdings
from holdfast_execution.rows import IntentRow
from holdfast_execution.sales import Hands
from holdfast_execution.sender import Sender
from holdfast_execution.waiting import POSITIONS_SECS, Backoffs
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.ports.venue import Broker
from holdfast_runtime.settings import ExecutionSettings
from holdfast_runtime.telemetry import traces

log = structlog.get_logger()

AGAIN_SECS = 2.0
"""Longest wait before the sale of a part is tried again: well below the bound in which it is sold, or given up."""
PART_NOT_SOLD = "PART_NOT_SOLD"
"""The stop gave the part up, and it could not be sent for sale in time: its stop is about it again."""


def ends_of(intents: Iterable[IntentRow]) -> list[datetime]:
    """Until when those of `intents` that were not sent may be."""
    waiting = [each for each in intents if each.purpose is Purpose.REDUCE and each.state is IntentState.PENDING]
    return [each.valid_until for each in waiting if each.valid_until is not None]


class Reductions:
    """Ends what is to be sold no more, and sends what is free."""

    def __init__(
        self,
        books: Books,
        broker: Broker,
        sender: Sender,
        hands: Hands,
        holdings: Holdings,
        wait: Callable[[float, int], None],
        *,
        clock: MonotonicClock,
        settings: ExecutionSettings,
    ) -> None:
        """`wait` is told after how many seconds of monotonic time a part is tried again, and how often it was."""
        self._books = books
        self._broker = broker
        self._sender = sender
        self._hands = hands
        self._holdings = holdings
        self._backoffs = Backoffs(clock, first_secs=settings.lookup_backoff_secs, limit_secs=AGAIN_SECS)
        self._wait = wait
        self._clock = clock
        self._bound_secs = settings.protection_bound_secs
        self._bare_since_secs: dict[str, float] = {}
        """Since when no order of ours sells a symbol's part, which its stop has given up."""

    def nudge(self) -> None:
        """The broker can be reached again."""
        self._backoffs.clear()

    async def drop(self, holding: HoldingView, mirror: Mirror) -> bool:
        """Ends one that has become pointless, before its part is taken from the stop; True where there was one."""
        moves = list(self._moves(holding, mirror))
        bare_for_too_long = self._is_bare_for_too_long(holding.symbol, moves)
        for order, move in moves:
            reason = PART_NOT_SOLD if bare_for_too_long and move.step is ReduceStep.SELL else move.reason
            if reason:
                log.info("reduction.dropped", symbol=holding.symbol, intent=order.intent_id, reason=reason)
                self._backoffs.succeeded(holding.symbol)
                await self._hands.drop(order.intent_id, reason)
                return True
        return False

    def _is_bare_for_too_long(self, symbol: str, moves: list[tuple[OrderView, ReduceMove]]) -> bool:
        if all(move.step is not ReduceStep.SELL for _, move in moves):
            self._bare_since_secs.pop(symbol, None)
            return False
        now_secs = self._clock.now_secs()
        left_secs = self._bare_since_secs.setdefault(symbol, now_secs) + self._bound_secs - now_secs
        if left_secs > 0:
            self._wait(left_secs, self._backoffs.failures(symbol))
        return left_secs <= 0

    async def send(self, holding: HoldingView, mirror: Mirror) -> bool:
        """Sells one whose part no stop holds any more; True where something was done."""
        for order, move in self._moves(holding, mirror):
            if move.step is not ReduceStep.SELL:
                continue
            if (wait_secs := self._backoffs.wait_secs(holding.symbol)) > 0:
                self._wait(wait_secs, self._backoffs.failures(holding.symbol))
                return False
            await self._read_and_sell(holding.symbol, mirror.by_id[order.intent_id])
            return True
        return False

    def _moves(self, holding: HoldingView, mirror: Mirror) -> Iterator[tuple[OrderView, ReduceMove]]:
        runs = holding.strategy not in mirror.not_running
        for order in holding.of(Role.REDUCE):
            if order.phase is Phase.PENDING:
                valid_until = mirror.by_id[order.intent_id].valid_until
                late = out_of_time(book=holding.book, now=self._books.now, valid_until=valid_until, runs=runs)
                yield order, next_step(holding, order, late=late)

    async def _read_and_sell(self, symbol: str, intent: IntentRow) -> None:
        """The broker's own position bounds the sale; the ledger is looked at once more, for what came meanwhile."""
        with (
            self._books.activity.busy(),
            traces.span(
                "execution.reduce", parent=intent.traceparent, intent_id=intent.intent_id, symbol=symbol
            ) as span,
        ):
            try:
                async with asyncio.timeout(POSITIONS_SECS):
                    at_broker = {position.symbol: position for position in await self._broker.positions()}.get(symbol)
            except (*NO_GOOD_ANSWER, TimeoutError) as error:
                log.warning("reduction.retried", symbol=symbol, error=str(error))
                self._backoffs.failed(symbol)
                return
            mirror = await self._books.look()
            holding = self._holdings.of(symbol, mirror)
            moves = {order.intent_id: move for order, move in self._moves(holding, mirror)}
            move = moves.get(intent.intent_id)
            span.set(step=move.step.value if move is not None else "over")
            if move is None or move.step is not ReduceStep.SELL:
                return
            if at_broker is None or at_broker.quantity < holding.protectable + intent.leg_quantity:
                log.error("reduction.broker_holds_less", symbol=symbol, ledger=str(holding.quantity))
                await self._hands.drop(intent.intent_id, BROKER_HOLDS_NOTHING)
                return
            if at_broker.available is not None and at_broker.available < intent.leg_quantity:
                # The order that was replaced is not over yet: it holds the part, and protects it.
                self._bare_since_secs.pop(symbol, None)
                self._backoffs.failed(symbol)
                return
            sent = await self._sender.send(intent)
            span.set(state=sent.intent.state.value)
            if sent.refused:
                self._backoffs.failed(symbol)
            else:
                self._backoffs.succeeded(symbol)
