"""What the venue refuses at once, in Alpaca's codes and words (reference: its order errors).

Each check raises Refusal before anything has changed.
"""

from collections.abc import Iterable
from decimal import Decimal

from holdfast_core.instruments import on_tick
from holdfast_core.money import plain
from holdfast_exchange.orders import WORKING, ZERO, NewOrder, Order, OrderType, Refusal, Side, Status

UNPROCESSABLE = 42210000
NOT_UNIQUE = 40010001
FORBIDDEN = 40310000
NOT_FOUND = 40410000
MAX_CLIENT_ORDER_ID = 128
HOLDING = WORKING | {Status.ACCEPTED}
"""Open orders that reserve shares or buying power; a held leg reserves nothing yet."""


def unprocessable(message: str) -> Refusal:
    return Refusal(422, UNPROCESSABLE, message)


def not_found(order_id: str) -> Refusal:
    return Refusal(404, NOT_FOUND, f"order not found for {order_id}")


def check_shape(new: NewOrder) -> None:
    """Fields that fit together, whatever the market does."""
    if len(new.client_order_id) > MAX_CLIENT_ORDER_ID:
        raise unprocessable(f"client_order_id must be no more than {MAX_CLIENT_ORDER_ID} characters")
    check_quantity(new.quantity)
    if new.type is OrderType.LIMIT and new.limit_price is None:
        raise unprocessable("limit orders require a limit price")
    if new.type is OrderType.STOP and new.stop_price is None:
        raise unprocessable("stop orders require a stop price")
    if new.type is not OrderType.LIMIT and new.limit_price is not None:
        raise unprocessable(f"{new.type.value} orders must not have a limit price")
    if new.type is not OrderType.STOP and new.stop_price is not None:
        raise unprocessable(f"{new.type.value} orders must not have a stop price")
    check_price("limit_price", new.limit_price)
    check_price("stop_price", new.stop_price)
    check_price("stop_loss.stop_price", new.protect_stop_price)


def check_quantity(quantity: Decimal) -> None:
    if not quantity.is_finite() or quantity <= 0:
        raise unprocessable("qty must be > 0")
    if quantity != quantity.to_integral_value():
        raise Refusal(403, FORBIDDEN, "requested asset is not fractionable")


def check_price(name: str, price: Decimal | None) -> None:
    if price is None:
        return
    if not price.is_finite() or price <= 0:
        raise unprocessable(f"{name} must be > 0")
    if not on_tick(price):
        raise unprocessable(f"invalid {name} {price}. sub-penny increment does not fulfill minimum pricing criteria")


def check_stop(side: Side, stop_price: Decimal, price: Decimal | None) -> None:
    """A stop that has been traded through already is refused."""
    if price is None:
        return
    if side is Side.SELL and stop_price >= price:
        raise unprocessable(f"stop price must be less than the current price {plain(price)}")
    if side is Side.BUY and stop_price <= price:
        raise unprocessable(f"stop price must be greater than the current price {plain(price)}")


def check_protection(new: NewOrder, price: Decimal | None) -> None:
    """The stop leg of an OTO must lie at least a cent beyond the entry."""
    stop, base = new.protect_stop_price, new.limit_price or price
    if stop is None or base is None:
        return
    cent = Decimal("0.01")
    if new.side is Side.BUY and stop > base - cent:
        raise unprocessable("stop_loss.stop_price must be <= base_price - 0.01")
    if new.side is Side.SELL and stop < base + cent:
        raise unprocessable("stop_loss.stop_price must be >= base_price + 0.01")


def check_wash_trade(new: NewOrder, open_orders: Iterable[Order]) -> None:
    """An order that could trade with the account's own resting order of the other side is refused."""
    for resting in open_orders:
        if resting.symbol != new.symbol or resting.side is new.side or resting.status not in HOLDING:
            continue
        if resting.type is OrderType.LIMIT and new.type is OrderType.LIMIT:
            assert resting.limit_price is not None
            assert new.limit_price is not None
            buy, sell = (
                (new.limit_price, resting.limit_price)
                if new.side is Side.BUY
                else (resting.limit_price, new.limit_price)
            )
            if buy < sell:
                continue
        kind = "limit" if resting.type is OrderType.LIMIT else "market/stop"
        raise Refusal(
            403,
            FORBIDDEN,
            "potential wash trade detected. use complex orders",
            {"existing_order_id": resting.id, "reject_reason": f"opposite side {kind} order exists"},
        )


def check_shares(
    symbol: str, quantity: Decimal, held: Decimal, open_orders: Iterable[Order], *, leaving: str | None = None
) -> None:
    """A sale must find its shares: not sold short, not held by another open sale (`leaving` is being replaced)."""
    selling = [
        order
        for order in open_orders
        if order.symbol == symbol and order.side is Side.SELL and order.status in HOLDING and order.id != leaving
    ]
    if not held:
        raise Refusal(403, FORBIDDEN, "account is not allowed to short", {"symbol": symbol})
    reserved = sum((order.remaining for order in selling), ZERO)
    available = held - reserved
    if quantity > available:
        raise Refusal(
            403,
            FORBIDDEN,
            f"insufficient qty available for order (requested: {plain(quantity)}, available: {plain(available)})",
            {
                "available": str(plain(available)),
                "existing_qty": str(plain(held)),
                "held_for_orders": str(plain(reserved)),
                "related_orders": [order.id for order in selling],
                "symbol": symbol,
            },
        )


def check_buying_power(cost: Decimal, buying_power: Decimal) -> None:
    if cost > buying_power:
        raise Refusal(
            403,
            FORBIDDEN,
            "insufficient buying power",
            {"buying_power": str(plain(buying_power)), "cost_basis": str(plain(cost))},
        )


def check_replaceable(order: Order) -> None:
    """Only a working order can be replaced; accepted, held and pending ones cannot, nor terminal ones."""
    if not order.is_open:
        raise unprocessable(f'order is already in "{order.status.value}" state')
    if not order.is_working:
        raise unprocessable(f'cannot replace order in "{order.status.value}" state')
    if order.leg is not None:
        raise unprocessable("cannot replace an order whose legs are held")


def check_cancelable(order: Order) -> None:
    if not order.is_open:
        raise unprocessable(f'order is already in "{order.status.value}" state')
