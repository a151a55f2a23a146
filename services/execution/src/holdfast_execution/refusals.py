"""A proven no of the broker: written down with its reason, and with the next leg of an entry that may try again (SQ-2).

One commit holds both: a crash loses no retry and adds none, and the sends of all legs are counted in the ledger.
"""

from datetime import datetime
from decimal import Decimal

import structlog

from holdfast_core.instruments import lot_of
from holdfast_core.money import ZERO
from holdfast_execution.aborts import abort
from holdfast_execution.books import Books
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_execution.domain.naming import order_name
from holdfast_execution.domain.next_leg import NextLeg, after_refusal, next_attempt_at
from holdfast_execution.domain.outcomes import ATTEMPTS_EXHAUSTED, FollowUp, SendOutcome
from holdfast_execution.ledger import Ledger
from holdfast_execution.rows import IntentRow
from holdfast_runtime.errors import HoldfastError
from holdfast_runtime.ports.venue import Broker
from holdfast_runtime.settings import Settings

log = structlog.get_logger()


class Refusals:
    """Records refusals of one account's orders."""

    def __init__(self, books: Books, broker: Broker, settings: Settings) -> None:
        self._books = books
        self._broker = broker
        self._account = settings.account.id
        self._max_retries = settings.execution.max_retries

    async def record(self, refused: IntentRow, outcome: SendOutcome) -> IntentRow:
        """The refused leg as it ended: REJECTED. Raises what the ledger raises."""
        next_leg = self._next_leg(refused, outcome.follow_up)
        quantity = await self._affordable(refused) if next_leg is NextLeg.SHRINK else refused.leg_quantity

        def write(ledger: Ledger, epoch: int, now: datetime) -> IntentRow:
            row = ledger.record_refusal(epoch, now, refused.intent_id, outcome.reason)
            if row.state is not IntentState.REJECTED:
                # More was heard meanwhile.
                return row
            if next_leg is NextLeg.ABORT:
                abort(ledger, epoch, now, intent=row, reason=ATTEMPTS_EXHAUSTED)
            elif next_leg is not NextLeg.SKIP and quantity > 0 and self._may_go_on(ledger, row, now):
                self._begin(ledger, epoch, now, row, quantity)
            return row

        row = await self._books.write(write)
        log.warning(
            "order.rejected", intent=row.intent_id, symbol=row.symbol, reason=outcome.reason, leg=refused.leg,
            sends=refused.total_attempts, next=next_leg.value,
        )  # fmt: skip
        if next_leg is NextLeg.ABORT:
            log.error("strategy.safety_abort", strategy=row.strategy, intent=row.intent_id, reason=ATTEMPTS_EXHAUSTED)
        return row

    def _next_leg(self, refused: IntentRow, follow_up: FollowUp) -> NextLeg:
        if refused.purpose is not Purpose.ENTRY:
            # Sales and stops have legs without end: the protective lane makes them.
            return NextLeg.SKIP
        return after_refusal(
            follow_up,
            sends=refused.total_attempts,
            max_retries=self._max_retries,
            shrunk=refused.leg_quantity < refused.remaining,
        )

    async def _affordable(self, refused: IntentRow) -> Decimal:
        """What the account can pay of the entry at its limit; zero where that is nothing, all of it, or not told."""
        try:
            account = await self._broker.account()
        except HoldfastError as error:
            log.warning("entry.not_shrunk", intent=refused.intent_id, error=str(error))
            return ZERO
        told = account.settled_cash if refused.book == "crypto" else account.buying_power
        bought = lot_of(refused.book).bought_for(told or ZERO, refused.limit_price or ZERO)
        return bought if bought < refused.leg_quantity else ZERO

    def _may_go_on(self, ledger: Ledger, row: IntentRow, now: datetime) -> bool:
        """In time, and not of a strategy that was stopped meanwhile: its retries end with it (SQ-10)."""
        in_time = row.valid_until is None or next_attempt_at(row.leg + 1, now) < row.valid_until
        return in_time and ledger.strategy(row.strategy).runs

    def _begin(self, ledger: Ledger, epoch: int, now: datetime, row: IntentRow, quantity: Decimal) -> None:
        client_id = order_name(self._account, row.strategy, row.signal_id, row.intent_id, row.leg + 1)
        ledger.new_leg(epoch, now, row.intent_id, client_id, quantity=quantity, reason=row.reason)
