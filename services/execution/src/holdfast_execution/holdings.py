"""Views of the mirror for the pure rules: one holding for each symbol."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from holdfast_core.money import ZERO
from holdfast_execution.books import Mirror
from holdfast_execution.domain.intents import TERMINAL, IntentState, Purpose
from holdfast_execution.domain.views import HoldingView, OrderView, Owner, Phase, Role
from holdfast_execution.instruments import Instruments
from holdfast_execution.resolver import Resolver
from holdfast_execution.rows import IntentRow

MONITOR_REASON = "MONITOR_STOP_UNFILLED"
THROUGH_PRICE = "STOP_THROUGH_PRICE"
"""The broker takes no stop above the market: its price has traded."""

_PHASES = {
    IntentState.PENDING: Phase.PENDING,
    IntentState.SENDING: Phase.UNCERTAIN,
    IntentState.UNKNOWN: Phase.UNCERTAIN,
    IntentState.ACKED: Phase.LIVE,
    IntentState.PARTIALLY_FILLED: Phase.LIVE,
    IntentState.CANCELLING: Phase.CANCELLING,
}


class Holdings:
    """Builds views. Remembers when a partial entry was first seen: the ledger's rows do not say it."""

    def __init__(self, resolver: Resolver, instruments: Instruments) -> None:
        self._resolver = resolver
        self._instruments = instruments
        self._first_fills: dict[str, datetime] = {}

    def of(self, symbol: str, mirror: Mirror) -> HoldingView:
        """The holding of `symbol` with every open order of it."""
        position = mirror.positions.get(symbol)
        intents = mirror.of_symbol(symbol)
        strategy = position.strategy if position is not None and position.quantity else ""
        orders = tuple(self._order(intent, mirror) for intent in intents)
        book = (position.book if position is not None else "") or (intents[0].book if intents else "equity")
        known = position.stop_price if position is not None and position.quantity else None
        return HoldingView(
            symbol=symbol,
            strategy=strategy or (intents[0].strategy if intents else ""),
            quantity=position.quantity if position is not None else ZERO,
            stop_price=_stop_price(orders, known),
            owner=_owner(position.exit_owner if position is not None else ""),
            orders=orders,
            book=book,
            lot=self._instruments.lot(symbol, book),
        )

    def forget(self, mirror: Mirror) -> None:
        """Drops what is remembered of intents that are over."""
        for intent_id in [each for each in self._first_fills if each not in mirror.by_id]:
            del self._first_fills[intent_id]

    def _order(self, intent: IntentRow, mirror: Mirror) -> OrderView:
        parent = mirror.parents.get(intent.parent_intent_id) if intent.leg == 1 else None
        dormant = parent is not None and parent is not IntentState.FILLED
        first_fill_at = None
        if intent.purpose is Purpose.ENTRY and intent.filled_quantity > 0:
            first_fill_at = self._first_fills.setdefault(intent.intent_id, intent.updated_at)
        return OrderView(
            intent_id=intent.intent_id,
            role=Role(intent.purpose.value),
            phase=_PHASES.get(intent.state, Phase.ENDED),
            # Of what sells: with what its replaced orders have filled, as `filled` has it.
            quantity=intent.leg_quantity if intent.purpose is Purpose.ENTRY else intent.quantity,
            filled=intent.filled_quantity,
            filled_before=max(intent.quantity - intent.leg_quantity, ZERO) if intent.purpose is Purpose.STOP else ZERO,
            time_in_force=intent.time_in_force.value,
            stop_price=intent.stop_price,
            owner=sale_owner(intent),
            dormant=dormant,
            orphan=dormant and parent in TERMINAL,
            first_fill_at=first_fill_at,
            uncertain_since_secs=self._resolver.unknown_since_secs(intent.intent_id),
        )


def _stop_price(orders: Iterable[OrderView], known: Decimal | None) -> Decimal | None:
    """That of the orders that the broker has, else the ledger's. One that nobody knows of, or that waits to be sent,
    may be from before a split: its price counts where there is no other."""
    stops = [each for each in orders if each.role is Role.STOP and each.stop_price is not None and not each.dormant]
    there = [each.stop_price for each in stops if each.phase in (Phase.LIVE, Phase.CANCELLING) and each.stop_price]
    wished = [each.stop_price for each in stops if each.stop_price]
    return max(there, default=known or max(wished, default=None))


def sale_owner(intent: IntentRow) -> Owner | None:
    """On whose behalf an intent sells; None for entries and stops."""
    if intent.purpose is Purpose.EXIT:
        return Owner.EXIT
    if intent.purpose is Purpose.FLATTEN:
        return Owner.MONITOR if intent.reason == MONITOR_REASON else Owner.FLATTEN
    return None


def _owner(word: str) -> Owner:
    return Owner(word) if word else Owner.STOP
