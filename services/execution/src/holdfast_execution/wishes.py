"""The intent that an allowed decision asks for."""

from decimal import Decimal

from holdfast.common.v1 import common_pb2 as common
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_core.instruments import lot_of
from holdfast_core.money import ZERO
from holdfast_execution.books import Mirror
from holdfast_execution.domain.intents import Purpose
from holdfast_execution.domain.naming import intent_name, order_name
from holdfast_execution.domain.prices import sendable
from holdfast_execution.rows import NewIntent
from holdfast_runtime.errors import Malformed
from holdfast_runtime.ports.venue import OrderType, Side, TimeInForce
from holdfast_runtime.wire import from_decimal, from_timestamp

_BOOKS = {common.BOOK_EQUITY: "equity", common.BOOK_CRYPTO: "crypto"}
_ONE = Decimal(1)


def wish_of(decision: gate.Decision, account: str, mirror: Mirror) -> NewIntent:
    """Entries: a marketable limit order for the day with its stop; of coins for the moment, and the stop follows the
    fill, since the venue has neither days nor legs for them. Exits: a market sale that waits for the handover.
    Reductions: a market sale of a part that waits for a stop which leaves that part free (SY-2).

    Raises Malformed for a decision that lacks what its order needs.
    """
    if decision.book not in _BOOKS:
        raise Malformed(f"{decision.signal_id}: book {decision.book} is none")
    if decision.direction == common.DIRECTION_ENTER_LONG:
        return _entry(decision, account)
    if decision.direction == common.DIRECTION_EXIT_LONG:
        return _exit(decision, account, mirror)
    if decision.direction == common.DIRECTION_REDUCE_LONG:
        return _reduction(decision, account, mirror)
    raise Malformed(f"{decision.signal_id}: direction {decision.direction} is none")


def _entry(decision: gate.Decision, account: str) -> NewIntent:
    book = _BOOKS[decision.book]
    quantity = _amount(decision, "quantity")
    limit_price = sendable(_price(decision, "limit_price"), selling=False, book=book)
    stop_price = sendable(_price(decision, "stop_price"), selling=True, book=book)
    if quantity is None or quantity <= 0 or quantity % lot_of(book).increment:
        raise Malformed(f"{decision.signal_id}: quantity {quantity} is nothing that the {book} book trades")
    if limit_price is None or stop_price is None or stop_price >= limit_price:
        raise Malformed(f"{decision.signal_id}: limit {limit_price} and stop {stop_price} make no protected entry")
    if not decision.HasField("valid_until"):
        raise Malformed(f"{decision.signal_id}: valid_until is missing")
    name = intent_name(decision.signal_id, Purpose.ENTRY)
    return NewIntent(
        intent_id=name,
        signal_id=decision.signal_id,
        strategy=decision.strategy,
        symbol=decision.symbol,
        side=Side.BUY,
        purpose=Purpose.ENTRY,
        quantity=quantity,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.IOC if book == "crypto" else TimeInForce.DAY,
        client_order_id=order_name(account, decision.strategy, decision.signal_id, name, 1),
        book=book,
        limit_price=limit_price,
        protect_stop_price=stop_price,
        valid_until=from_timestamp(decision.valid_until),
        traceparent=decision.traceparent,
    )


def _exit(decision: gate.Decision, account: str, mirror: Mirror) -> NewIntent:
    """Of what is held, or of what its working entry may still bring: the handover sells what there is then."""
    name = intent_name(decision.signal_id, Purpose.EXIT)
    position = mirror.positions.get(decision.symbol)
    held = position.quantity if position is not None else ZERO
    entering = sum(
        (each.remaining for each in mirror.of_symbol(decision.symbol) if each.purpose is Purpose.ENTRY), ZERO
    )
    return NewIntent(
        intent_id=name,
        signal_id=decision.signal_id,
        strategy=decision.strategy,
        symbol=decision.symbol,
        side=Side.SELL,
        purpose=Purpose.EXIT,
        quantity=held or entering or _amount(decision, "quantity") or _ONE,
        order_type=OrderType.MARKET,
        time_in_force=time_in_force_of(_BOOKS[decision.book]),
        client_order_id=order_name(account, decision.strategy, decision.signal_id, name, 1),
        book=_BOOKS[decision.book],
        traceparent=decision.traceparent,
    )


def _reduction(decision: gate.Decision, account: str, mirror: Mirror) -> NewIntent:
    """Of a part of what is held; where that is all there is, an exit."""
    quantity = _amount(decision, "quantity")
    if quantity is None or quantity <= 0:
        raise Malformed(f"{decision.signal_id}: quantity {quantity} is nothing to sell")
    if not decision.HasField("valid_until"):
        raise Malformed(f"{decision.signal_id}: valid_until is missing")
    position = mirror.positions.get(decision.symbol)
    if position is None or quantity >= position.quantity:
        return _exit(decision, account, mirror)
    name = intent_name(decision.signal_id, Purpose.REDUCE)
    return NewIntent(
        intent_id=name,
        signal_id=decision.signal_id,
        strategy=decision.strategy,
        symbol=decision.symbol,
        side=Side.SELL,
        purpose=Purpose.REDUCE,
        quantity=quantity,
        order_type=OrderType.MARKET,
        time_in_force=time_in_force_of(_BOOKS[decision.book]),
        client_order_id=order_name(account, decision.strategy, decision.signal_id, name, 1),
        book=_BOOKS[decision.book],
        valid_until=from_timestamp(decision.valid_until),
        traceparent=decision.traceparent,
    )


def time_in_force_of(book: str) -> TimeInForce:
    """How long a sale works: for the day; of coins, which know no day, until it has filled."""
    return TimeInForce.GTC if book == "crypto" else TimeInForce.DAY


def _amount(decision: gate.Decision, name: str) -> Decimal | None:
    if not decision.HasField(name):  # type: ignore[arg-type]  # the stub lists the names one by one
        return None
    return from_decimal(getattr(decision, name), field=f"Decision.{name}")


def _price(decision: gate.Decision, name: str) -> Decimal | None:
    price = _amount(decision, name)
    if price is not None and price <= 0:
        raise Malformed(f"{decision.signal_id}: {name} {price} is no price")
    return price
