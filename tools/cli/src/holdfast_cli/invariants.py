"""The order protocol's invariants, checked over a ledger and, where it can be seen, the venue's own books.

Pure: takes what was read, gives a finding per invariant. A finding that could not be checked says so and does not hold.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_core.ids import CLIENT_ORDER_ID_PREFIX
from holdfast_core.instruments import book_of, is_dust
from holdfast_core.money import ZERO

MAX_SENDS = 4
CLAIM = "CLAIM"
"""Kind of the adjustment by which a person took over what the broker holds."""
LIVE = frozenset(
    {
        pb.INTENT_STATE_SENDING,
        pb.INTENT_STATE_UNKNOWN,
        pb.INTENT_STATE_ACKED,
        pb.INTENT_STATE_PARTIALLY_FILLED,
        pb.INTENT_STATE_CANCELLING,
    }
)
WORKING = frozenset({"new", "accepted", "pending_new", "partially_filled", "pending_cancel", "pending_replace"})
"""The venue's words for orders that may fill; a held leg may not."""
SALES = frozenset({pb.PURPOSE_EXIT, pb.PURPOSE_FLATTEN, pb.PURPOSE_REDUCE})
TAKEN = frozenset({pb.INTENT_STATE_ACKED, pb.INTENT_STATE_PARTIALLY_FILLED})
ENDED_UNFILLED = frozenset({"expired", "canceled"})
CASH_STEP = Decimal("0.00000001")
UNRESOLVED = frozenset({pb.INTENT_STATE_SENDING, pb.INTENT_STATE_UNKNOWN})


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant, held or not, with the evidence against it."""

    name: str
    held: bool
    detail: str = ""


def number(value: common.Decimal) -> Decimal:
    """A field that may be absent, as a number."""
    return Decimal(value.value) if value.value else ZERO


def signed(side: int, quantity: Decimal) -> Decimal:
    return quantity if side == common.SIDE_BUY else -quantity


def check(ledger: pb.GetLedgerResponse, books: Mapping[str, Any] | None) -> list[Finding]:
    """Every invariant that can be seen from outside. `books`: papermarket's, None with another venue."""
    findings = [
        _none("one_intent_per_order", _shared_orders(ledger.intents)),
        _none("one_live_entry_per_symbol", _entries_twice(ledger.intents)),
        _none("sends_within_limit", [i.intent_id for i in ledger.intents if i.attempts > MAX_SENDS]),
        _none("fills_equal_positions", _positions_off(ledger)),
        _none("fills_equal_cash", _cash_off(ledger)),
        _none("each_fill_once", _fills_twice(ledger.fills)),
        _none("filled_within_quantity", _overfilled(ledger.intents)),
        _none("every_position_has_a_stop", _unprotected(ledger)),
        _none("exits_within_position", _exits_above_position(ledger)),
        _none("nothing_unresolved", [i.intent_id for i in ledger.intents if i.state in UNRESOLVED]),
    ]
    if books is not None:
        findings += [
            _none("every_order_has_an_intent", _without_intent(ledger, books)),
            _none("every_live_order_has_a_live_intent", _live_without_live_intent(ledger, books)),
            _none("no_duplicate_order", _duplicate_orders(books)),
            _none("ledger_equals_venue_positions", _venue_positions_off(ledger, books)),
            _none("ledger_equals_venue_fills", _venue_fills_off(ledger, books)),
            _none("ledger_equals_venue_cash", _venue_cash_off(ledger, books)),
        ]
    return findings


def _none(name: str, offenders: Iterable[str]) -> Finding:
    found = sorted(offenders)
    return Finding(name, not found, "; ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else ""))


def _shared_orders(intents: Iterable[pb.Intent]) -> list[str]:
    named = Counter(i.broker_order_id for i in intents if i.broker_order_id)
    return [order for order, count in named.items() if count > 1]


def _entries_twice(intents: Iterable[pb.Intent]) -> list[str]:
    live = Counter(i.symbol for i in intents if i.state in LIVE and i.purpose == pb.PURPOSE_ENTRY)
    return [symbol for symbol, count in live.items() if count > 1]


def _positions_off(ledger: pb.GetLedgerResponse) -> list[str]:
    sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for fill in ledger.fills:
        sums[fill.symbol] += signed(fill.side, number(fill.quantity))
    for adjustment in ledger.adjustments:
        sums[adjustment.symbol] += number(adjustment.quantity)
    held = {p.symbol: number(p.quantity) for p in ledger.positions}
    return [
        f"{symbol}: fills, fees and claims {sums[symbol]}, position {held.get(symbol, ZERO)}"
        for symbol in sums.keys() | held.keys()
        if sums[symbol] != held.get(symbol, ZERO)
    ]


def _cash_off(ledger: pb.GetLedgerResponse) -> list[str]:
    spent = sum((signed(f.side, _worth(f)) for f in ledger.fills), ZERO)
    adjusted = sum((number(each.cash) for each in ledger.adjustments), ZERO)
    expected = number(ledger.account.starting_cash) - spent + adjusted
    cash = number(ledger.account.cash)
    return [] if expected == cash else [f"starting cash, fills, fees and claims {expected}, cash {cash}"]


def _worth(fill: pb.Fill) -> Decimal:
    """Dollars as they are booked: coins in nine decimals have more digits than cash."""
    return (number(fill.quantity) * number(fill.price)).quantize(CASH_STEP, rounding=ROUND_HALF_EVEN)


def _fills_twice(fills: Iterable[pb.Fill]) -> list[str]:
    seen = Counter((f.broker_order_id, f.cumulative_quantity.value) for f in fills)
    return [f"order {order} at {quantity}" for (order, quantity), count in seen.items() if count > 1]


def _overfilled(intents: Iterable[pb.Intent]) -> list[str]:
    return [i.intent_id for i in intents if number(i.filled_quantity) > number(i.quantity)]


def _unprotected(ledger: pb.GetLedgerResponse) -> list[str]:
    """Positions that neither a stop covers nor a sale that the broker has taken instead of it, or beside it."""
    for_sale: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for intent in ledger.intents:
        if intent.purpose in SALES and intent.state in TAKEN:
            for_sale[intent.symbol] += number(intent.quantity) - number(intent.filled_quantity)
    return [
        f"{p.symbol}: {p.quantity.value} held, stop for {p.stop_quantity.value or 0}"
        for p in ledger.positions
        if number(p.quantity)
        and not is_dust(number(p.quantity), book_of(p.symbol))
        and (number(p.stop_quantity) if p.protection == pb.PROTECTION_ACTIVE else ZERO) + for_sale[p.symbol]
        < number(p.quantity)
    ]


def _exits_above_position(ledger: pb.GetLedgerResponse) -> list[str]:
    held = {p.symbol: number(p.quantity) for p in ledger.positions}
    open_exits: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for intent in ledger.intents:
        if intent.state in LIVE and intent.side == common.SIDE_SELL:
            open_exits[intent.symbol] += number(intent.quantity) - number(intent.filled_quantity)
    return [
        f"{symbol}: {quantity} for sale, {held.get(symbol, ZERO)} held"
        for symbol, quantity in open_exits.items()
        if quantity > held.get(symbol, ZERO)
    ]


def _own(order: Mapping[str, Any]) -> bool:
    return str(order["client_order_id"]).startswith(CLIENT_ORDER_ID_PREFIX)


def _without_intent(ledger: pb.GetLedgerResponse, books: Mapping[str, Any]) -> list[str]:
    """Each by its id: the present order of an intent, one of an earlier leg, or one that was replaced.

    A leg that ended unfilled came with its parent and left nothing: a newer stop took its place in the intent.
    """
    known = {i.broker_order_id for i in ledger.intents} | {each for i in ledger.intents for each in i.past_order_ids}
    parents = {_origin(order) for order in books["orders"] if order["id"] in known and _own(order)}
    ended = {
        order["id"]
        for order in books["orders"]
        if order["status"] in ENDED_UNFILLED
        and not _own(order)
        and not Decimal(order["filled_qty"])
        and _origin(order) in parents
    }
    told = known | ended | _claimed(ledger, books)
    return [str(order["id"]) for order in books["orders"] if order["id"] not in told]


def _claimed(ledger: pb.GetLedgerResponse, books: Mapping[str, Any]) -> set[str]:
    """Orders of others that are over, in symbols that a person has claimed: what they did is in the claim, and shows in
    positions and cash."""
    known = {i.broker_order_id for i in ledger.intents}
    symbols = {each.symbol for each in ledger.adjustments if each.kind == CLAIM}
    return {
        str(order["id"])
        for order in books["orders"]
        if order.get("symbol") in symbols
        and order["status"] not in WORKING
        and not _own(order)
        and order["id"] not in known
    }


def _origin(order: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a leg has in common with the order that it came with."""
    return order.get("symbol"), order.get("created_at"), order.get("order_class")


def _live_without_live_intent(ledger: pb.GetLedgerResponse, books: Mapping[str, Any]) -> list[str]:
    """An intent names one order: with this, no intent has two live ones."""
    live = {i.broker_order_id for i in ledger.intents if i.state in LIVE}
    return [str(order["id"]) for order in books["orders"] if order["status"] in WORKING and order["id"] not in live]


def _duplicate_orders(books: Mapping[str, Any]) -> list[str]:
    seen = Counter(str(order["client_order_id"]) for order in books["orders"] if _own(order))
    return [client_id for client_id, count in seen.items() if count > 1]


def _venue_positions_off(ledger: pb.GetLedgerResponse, books: Mapping[str, Any]) -> list[str]:
    ours = {p.symbol: number(p.quantity) for p in ledger.positions if number(p.quantity)}
    theirs = {str(p["symbol"]): Decimal(p["qty"]) for p in books["positions"] if Decimal(p["qty"])}
    return [
        f"{symbol}: ledger {ours.get(symbol, ZERO)}, venue {theirs.get(symbol, ZERO)}"
        for symbol in ours.keys() | theirs.keys()
        if ours.get(symbol, ZERO) != theirs.get(symbol, ZERO)
    ]


def _venue_fills_off(ledger: pb.GetLedgerResponse, books: Mapping[str, Any]) -> list[str]:
    ours: dict[str, Decimal] = defaultdict(lambda: ZERO)
    theirs: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for fill in ledger.fills:
        ours[fill.broker_order_id] += number(fill.quantity)
    for entry in books["fills"]:
        theirs[str(entry["order_id"])] += Decimal(entry["qty"])
    orders = (ours.keys() | theirs.keys()) - _claimed(ledger, books)
    return [f"order {order}" for order in orders if ours[order] != theirs[order]]


def _venue_cash_off(ledger: pb.GetLedgerResponse, books: Mapping[str, Any]) -> list[str]:
    ours, theirs = number(ledger.account.cash), Decimal(books["cash"])
    return [] if ours == theirs else [f"ledger {ours}, venue {theirs}"]
