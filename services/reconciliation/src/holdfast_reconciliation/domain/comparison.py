"""Ledger against broker: what differs, and what evidence allows to be done about it. Pure; nothing is ever guessed.

A correction is never made here. `apply` and `adopt` ask execution to read the broker again, which takes over what the
broker can prove; `halt` is what no evidence explains; `wait` is what its own course settles, or is contained already.
The broker is the final truth for orders, fills and positions (invariants 6 and 14, FP-4.5).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from holdfast_core.ids import CLIENT_ORDER_ID_PREFIX
from holdfast_core.instruments import book_of, lot_of
from holdfast_core.money import ZERO, is_rounded
from holdfast_reconciliation.domain.states import BrokerSide, LedgerSide, Stage, Wish
from holdfast_runtime.ports.venue import BrokerOrder, Side


class Kind(StrEnum):
    ORDER_FOREIGN = "ORDER_FOREIGN"
    """The broker has an open order that no intent explains."""
    ORDER_MISSING = "ORDER_MISSING"
    """An intent names an order that the broker does not know."""
    ORDER_STATE_DIFFERS = "ORDER_STATE_DIFFERS"
    """One side holds an order for live, the other for over."""
    FILL_MISSING = "FILL_MISSING"
    """The broker executed more of an order than the ledger knows."""
    FEE_MISSING = "FEE_MISSING"
    """The broker took a fee that the ledger does not know."""
    POSITION_DIFFERS = "POSITION_DIFFERS"
    POSITION_SHORT = "POSITION_SHORT"
    """Both sides agree that more was sold than was held: nobody wanted that, and no stop protects it (invariant 8)."""
    CASH_DIFFERS = "CASH_DIFFERS"
    STOP_MISSING = "STOP_MISSING"
    """A held quantity that no active stop protects, and nobody is selling (invariant 7)."""


class Action(StrEnum):
    ADOPT = "adopt"
    APPLY = "apply"
    HALT = "halt"
    WAIT = "wait"


WAITS_ONCE = frozenset({Kind.CASH_DIFFERS, Kind.STOP_MISSING})
"""These halt only where the next round finds them as well: money and stops move a moment after the fill."""

OVER_AT_BROKER = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})
"""Any other word, an unknown one too, means that the order may still trade."""

DORMANT = "held"
"""A leg that waits for its parent's complete fill: it protects nothing yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One discrepancy. `symbol` is empty where it concerns the whole account."""

    kind: Kind
    symbol: str
    subject: str
    ledger_value: str
    broker_value: str
    action: Action

    @property
    def settled(self) -> bool:
        """Nothing has to be done about it now."""
        return self.action is Action.WAIT

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is about, whatever the numbers."""
        return (self.kind, self.symbol, self.subject)


def compare(ledger: LedgerSide, broker: BrokerSide, *, now: datetime, young: timedelta) -> list[Difference]:
    """Every difference, in a fixed order. `young`: what changed within so much market time may still be on its way."""
    positions, cash = list(_positions(ledger, broker)), list(_cash(ledger, broker))
    # What others traded on the account before, or beside us without a trace, explains nothing here and is none of ours.
    touched = None if cash else {each.symbol for each in positions}
    missing = [*_missing_fills(ledger, broker, touched), *_missing_fees(ledger, broker)]
    return [
        *_broker_orders(ledger, broker),
        *_ledger_orders(ledger, broker, now, young),
        *missing,
        *positions,
        *_shorts(ledger, broker),
        *(replace(each, action=Action.APPLY) if missing else each for each in cash),
        *_stops(ledger, broker, now, young),
    ]


def needs_look_up(ledger: LedgerSide, broker: BrokerSide) -> list[str]:
    """Order ids that the ledger holds for live and that the list of open orders lacks: they have to be asked for."""
    return sorted(
        wish.broker_order_id
        for wish in ledger.wishes
        if wish.stage is Stage.LIVE and wish.broker_order_id and wish.broker_order_id not in broker.orders
    )


def live_at_broker(order: BrokerOrder) -> bool:
    return order.status not in OVER_AT_BROKER


def _broker_orders(ledger: LedgerSide, broker: BrokerSide) -> Iterator[Difference]:
    """Open orders at the broker: each belongs to an intent that is not over."""
    by_order = {wish.broker_order_id: wish for wish in ledger.wishes if wish.broker_order_id}
    by_client = {wish.client_order_id: wish for wish in ledger.wishes if wish.client_order_id}
    for order_id, order in sorted(broker.orders.items()):
        if not live_at_broker(order):
            continue
        wish = by_order.get(order_id) or by_client.get(order.client_order_id)
        if wish is None:
            if not _belongs(order, ledger, broker, by_order):
                yield _foreign(order, ledger)
        elif wish.stage is Stage.OVER:
            yield _state_differs(wish, order, Action.APPLY)
        elif wish.stage is Stage.UNSENT:
            yield _state_differs(wish, order, Action.ADOPT)
        elif wish.stage is Stage.IN_FLIGHT:
            # Execution looks its unknown sends up by itself; here it only shows.
            yield _state_differs(wish, order, Action.WAIT)


def _belongs(order: BrokerOrder, ledger: LedgerSide, broker: BrokerSide, by_order: dict[str, Wish]) -> bool:
    """A leg of a known order, its successor, what it is to replace, or an earlier leg that fills are known of."""
    successors = (each.order_id for each in broker.orders.values() if each.replaces == order.order_id)
    related = (broker.parents.get(order.order_id, ""), order.replaces or "", *successors)
    return any(each in by_order for each in related if each) or order.order_id in ledger.filled


def _foreign(order: BrokerOrder, ledger: LedgerSide) -> Difference:
    ours = order.client_order_id.startswith(CLIENT_ORDER_ID_PREFIX)
    contained = order.symbol in ledger.halted
    return Difference(
        kind=Kind.ORDER_FOREIGN,
        symbol=order.symbol,
        subject=order.order_id,
        ledger_value="unknown",
        broker_value=f"{order.side} {order.quantity:f} {order.status} {order.client_order_id}".strip(),
        action=Action.ADOPT if ours else Action.WAIT if contained else Action.HALT,
    )


def _ledger_orders(ledger: LedgerSide, broker: BrokerSide, now: datetime, young: timedelta) -> Iterator[Difference]:
    """Intents that are live in the ledger: the broker knows each order, and holds it for live as well."""
    for wish in sorted(ledger.wishes, key=lambda each: each.intent_id):
        if wish.stage is not Stage.LIVE or not wish.broker_order_id:
            continue
        order = broker.orders.get(wish.broker_order_id)
        if order is not None:
            if not live_at_broker(order):
                yield _state_differs(wish, order, Action.APPLY)
        elif wish.broker_order_id in broker.absent:
            yield Difference(
                kind=Kind.ORDER_MISSING,
                symbol=wish.symbol,
                subject=wish.intent_id,
                ledger_value=wish.state,
                broker_value="unknown",
                action=Action.WAIT if now - wish.updated_at < young else Action.HALT,
            )


def _state_differs(wish: Wish, order: BrokerOrder, action: Action) -> Difference:
    return Difference(
        kind=Kind.ORDER_STATE_DIFFERS,
        symbol=wish.symbol,
        subject=wish.intent_id,
        ledger_value=wish.state,
        broker_value=order.status,
        action=action,
    )


def _missing_fills(ledger: LedgerSide, broker: BrokerSide, touched: set[str] | None) -> Iterator[Difference]:
    """By order and cumulative quantity, the largest seen: a repeated or reordered fill is no difference.

    Where the ledger knows more than the list of activities, that list is late: the position tells.
    `touched`: symbols in which the fills of unknown orders count, None for all.
    """
    known = {wish.broker_order_id for wish in ledger.wishes if wish.broker_order_id} | ledger.filled.keys()
    in_flight = {wish.client_order_id for wish in ledger.wishes if wish.stage is Stage.IN_FLIGHT}
    known |= {order_id for order_id, order in broker.orders.items() if order.client_order_id in in_flight}
    known |= {order.replaces for order_id, order in broker.orders.items() if order_id in known and order.replaces}
    ours = known | {leg for leg, parent in broker.parents.items() if parent in known}
    filled: dict[str, tuple[str, Decimal]] = {}
    for execution in broker.executions:
        so_far = filled.get(execution.order_id, ("", ZERO))[1]
        filled[execution.order_id] = (execution.symbol, max(execution.cumulative, so_far))
    # An entry that filled long ago is listed beside its stop for as long as that rests; the ledger tells of newer ones.
    for order in (each for order_id, each in broker.orders.items() if order_id in ours):
        if order.filled_quantity > filled.get(order.order_id, ("", ZERO))[1]:
            filled[order.order_id] = (order.symbol, order.filled_quantity)
    for order_id, (symbol, quantity) in sorted(filled.items()):
        counted = ledger.filled.get(order_id, ZERO)
        if quantity > counted and (order_id in ours or touched is None or symbol in touched):
            yield Difference(
                kind=Kind.FILL_MISSING,
                symbol=symbol,
                subject=order_id,
                ledger_value=f"{counted:f}",
                broker_value=f"{quantity:f}",
                action=Action.APPLY,
            )


def _missing_fees(ledger: LedgerSide, broker: BrokerSide) -> Iterator[Difference]:
    """By the broker's id of each."""
    for fee in broker.fees:
        if fee.activity_id not in ledger.adjusted and (fee.quantity or fee.cash):
            yield Difference(
                kind=Kind.FEE_MISSING,
                symbol=fee.symbol,
                subject=fee.activity_id,
                ledger_value="unknown",
                broker_value=f"{fee.quantity:f} {fee.symbol}, {fee.cash:f} dollars",
                action=Action.APPLY,
            )


def _positions(ledger: LedgerSide, broker: BrokerSide) -> Iterator[Difference]:
    unknown = _uncounted(ledger, broker)
    for symbol in sorted({*ledger.held, *broker.held}):
        ours = ledger.held[symbol].quantity if symbol in ledger.held else ZERO
        theirs = broker.held.get(symbol, ZERO)
        if ours == theirs:
            continue
        explained = theirs - ours == unknown.get(symbol, ZERO)
        yield Difference(
            kind=Kind.POSITION_DIFFERS,
            symbol=symbol,
            subject=symbol,
            ledger_value=f"{ours:f}",
            broker_value=f"{theirs:f}",
            action=Action.APPLY if explained else Action.HALT,
        )


def _shorts(ledger: LedgerSide, broker: BrokerSide) -> Iterator[Difference]:
    """No book here sells short: two exits that both filled leave one, and a person has to cover it."""
    for symbol, theirs in sorted(broker.held.items()):
        if theirs < 0 and symbol in ledger.held and ledger.held[symbol].quantity == theirs:
            yield Difference(
                kind=Kind.POSITION_SHORT,
                symbol=symbol,
                subject=symbol,
                ledger_value=f"{theirs:f}",
                broker_value=f"{theirs:f}",
                action=Action.HALT,
            )


def _uncounted(ledger: LedgerSide, broker: BrokerSide) -> dict[str, Decimal]:
    """By symbol, the signed quantity that the broker executed, or took as a fee, and the ledger does not know."""
    total: dict[str, Decimal] = {}
    for fee in broker.fees:
        if fee.activity_id not in ledger.adjusted:
            total[fee.symbol] = total.get(fee.symbol, ZERO) + fee.quantity
    for each in broker.executions:
        beyond = each.cumulative - ledger.filled.get(each.order_id, ZERO)
        part = min(max(beyond, ZERO), abs(each.signed))
        total[each.symbol] = total.get(each.symbol, ZERO) + (part if each.signed > 0 else -part)
    return total


def _cash(ledger: LedgerSide, broker: BrokerSide) -> Iterator[Difference]:
    if not is_rounded(broker.cash, ledger.cash):
        yield Difference(
            kind=Kind.CASH_DIFFERS,
            symbol="",
            subject="cash",
            ledger_value=f"{ledger.cash:f}",
            broker_value=f"{broker.cash:f}",
            action=Action.HALT,
        )


def _stops(ledger: LedgerSide, broker: BrokerSide, now: datetime, young: timedelta) -> Iterator[Difference]:
    protected: dict[str, Decimal] = {}
    for order in broker.orders.values():
        replaced = broker.orders.get(order.replaces or "")
        waits = order.status == DORMANT or (replaced is not None and live_at_broker(replaced))
        if live_at_broker(order) and not waits and order.side is Side.SELL and order.stop_price is not None:
            protected[order.symbol] = protected.get(order.symbol, ZERO) + order.quantity - order.filled_quantity
    under_way = [wish for wish in ledger.wishes if wish.stage is not Stage.OVER]
    selling = {wish.symbol for wish in under_way if wish.sells}
    parts: dict[str, Decimal] = {}
    for wish in under_way:
        # Until the broker has its sale a part is as bare as any other: one that waits excuses nothing.
        if wish.stage is Stage.LIVE:
            parts[wish.symbol] = parts.get(wish.symbol, ZERO) + wish.part
    for symbol, held in sorted(ledger.held.items()):
        # Shares are protected whole, coins to the last one; dust cannot be.
        part = parts.get(symbol, ZERO)
        whole = lot_of(book_of(symbol)).tradable(max(held.quantity - part, ZERO))
        if whole <= 0 or symbol in selling or now - held.updated_at < young:
            continue
        resting = protected.get(symbol, ZERO)
        if resting < whole or not (held.protected or part):
            yield Difference(
                kind=Kind.STOP_MISSING,
                symbol=symbol,
                subject=symbol,
                ledger_value="active" if held.protected else "none",
                broker_value=f"{resting:f} of {whole:f}",
                action=Action.APPLY,
            )
