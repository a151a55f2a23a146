"""What the venue refuses at once because of prices, positions and other orders, in Alpaca's codes and words.

Each check raises Refusal before anything has changed. What an order may look like at all is in `rules`.
"""

from collections.abc import Iterable
from decimal import Decimal

from holdfast_core.money import plain
from holdfast_exchange.assets import Asset
from holdfast_exchange.books import Position
from holdfast_exchange.orders import (
    LEAVING,
    LIMITED,
    ZERO,
    Intent,
    NewOrder,
    Order,
    OrderClass,
    OrderType,
    Refusal,
    Side,
    Status,
)
from holdfast_exchange.rules import CENT, FORBIDDEN, LEAST_AMOUNT, MOST_CRYPTO_AMOUNT, is_fractional, unprocessable

NOT_UNIQUE = 40010001
NOT_FOUND = 40410000


def not_found(order_id: str) -> Refusal:
    return Refusal(404, NOT_FOUND, f"order not found for {order_id}")


def check_stop(side: Side, stop_price: Decimal, price: Decimal | None) -> None:
    """A stop that has been traded through already is refused."""
    if price is None:
        return
    if side is Side.SELL and stop_price >= price:
        raise unprocessable(f"stop price must be less than the current price {plain(price)}")
    if side is Side.BUY and stop_price <= price:
        raise unprocessable(f"stop price must be greater than the current price {plain(price)}")


def check_protection(new: NewOrder, price: Decimal | None) -> None:
    """The stop loss must lie at least a cent beyond the base price, and the take profit on its other side.

    Base prices are the entry's limit, an OCO's take profit, and the present price where there is no entry limit.
    """
    selling = new.side is Side.BUY if new.kind is not OrderClass.OCO else new.side is Side.SELL
    gain = new.take_profit_price or (new.limit_price if new.kind is OrderClass.OCO else None)
    if new.kind is OrderClass.OCO:
        bases = [base for base in (gain, price) if base is not None]
    else:
        bases = [base for base in (new.limit_price or price,) if base is not None]
    stop = new.protect_stop_price
    if stop is not None:
        for base in bases:
            if selling and stop > base - CENT:
                raise unprocessable("stop_loss.stop_price must be <= base_price - 0.01")
            if not selling and stop < base + CENT:
                raise unprocessable("stop_loss.stop_price must be >= base_price + 0.01")
        check_sides(Side.SELL if selling else Side.BUY, gain, stop)
    if gain is not None and new.kind is not OrderClass.OCO:
        for base in bases:
            if selling and gain < base + CENT:
                raise unprocessable("take_profit.limit_price must be >= base_price + 0.01")
            if not selling and gain > base - CENT:
                raise unprocessable("take_profit.limit_price must be <= base_price - 0.01")


def check_sides(exit_side: Side, gain: Decimal | None, loss: Decimal | None) -> None:
    """The two exits of a group lie on either side of the price: the one to gain beyond the one against a loss."""
    if gain is not None and loss is not None and (gain <= loss if exit_side is Side.SELL else gain >= loss):
        raise unprocessable("take_profit.limit_price must be beyond stop_loss.stop_price")


def check_wash_trade(new: NewOrder, open_orders: Iterable[Order]) -> None:
    """An order that could trade with the account's own resting order of the other side is refused."""
    for resting in open_orders:
        if resting.symbol != new.symbol or resting.side is new.side or not resting.reserves:
            continue
        if resting.type is OrderType.LIMIT and new.type in LIMITED:
            limit = new.take_profit_price if new.limit_price is None else new.limit_price
            assert resting.limit_price is not None
            assert limit is not None
            buy, sell = (limit, resting.limit_price) if new.side is Side.BUY else (resting.limit_price, limit)
            if buy < sell:
                continue
        kind = "limit" if resting.type is OrderType.LIMIT else "market/stop"
        raise Refusal(
            403,
            FORBIDDEN,
            "potential wash trade detected. use complex orders",
            {"existing_order_id": resting.id, "reject_reason": f"opposite side {kind} order exists"},
        )


def available_shares(position: Position, open_orders: Iterable[Order]) -> Decimal:
    """What no open order is about to close of `position`; signed as it is."""
    side = Side.BUY if position.is_short else Side.SELL
    reserved = _reserved(_closing(position.symbol, side, open_orders))
    return position.quantity + reserved if position.is_short else position.quantity - reserved


def _closing(symbol: str, side: Side, open_orders: Iterable[Order]) -> list[Order]:
    return [order for order in open_orders if order.symbol == symbol and order.side is side and order.reserves]


def _reserved(closing: Iterable[Order]) -> Decimal:
    return sum((order.remaining for order in closing if order.replaces is None or not is_waiting(order)), ZERO)


def check_shares(
    asset: Asset, side: Side, quantity: Decimal, held: Decimal, open_orders: Iterable[Order], *, leaving: str = ""
) -> None:
    """An order that closes a position must find its shares there, not held by another order (`leaving` is replaced)."""
    closing = [order for order in _closing(asset.symbol, side, open_orders) if order.id != leaving]
    reserved = _reserved(closing)
    available = max(abs(held) - reserved, ZERO)
    if quantity <= available:
        return
    if asset.is_crypto:
        coin = asset.symbol.partition("/")[0]
        message = f"insufficient balance for {coin} (requested: {plain(quantity)}, available: {plain(available)})"
    else:
        message = f"insufficient qty available for order (requested: {plain(quantity)}, available: {plain(available)})"
    raise Refusal(
        403,
        FORBIDDEN,
        message,
        {
            "available": f"{plain(available):f}",
            "existing_qty": f"{plain(held):f}",
            "held_for_orders": f"{plain(reserved):f}",
            "related_orders": [order.id for order in closing],
            "symbol": asset.symbol,
        },
    )


def is_waiting(order: Order) -> bool:
    """A replacement that waits for the order that it replaces: the old one still holds what it needs."""
    return order.status is Status.PENDING_NEW and order.replaces is not None


def check_short(asset: Asset, new: NewOrder, *, may_short: bool) -> None:
    """Who may sell what he does not hold, and what of it."""
    if asset.is_crypto:
        coin = asset.symbol.partition("/")[0]
        raise Refusal(
            403,
            FORBIDDEN,
            f"insufficient balance for {coin} (requested: {plain(new.quantity)}, available: 0)",
            {"available": "0", "symbol": asset.symbol},
        )
    if not may_short:
        raise Refusal(403, FORBIDDEN, "account is not allowed to short", {"symbol": asset.symbol})
    if not asset.shortable or not asset.easy_to_borrow:
        raise unprocessable(f"asset {asset.symbol} cannot be sold short")
    if is_fractional(new.quantity, new.notional):
        raise unprocessable("fractional orders cannot be sold short")


def check_intent(asked: Intent | None, inferred: Intent) -> None:
    if asked is not None and asked is not inferred:
        raise unprocessable(
            f"position intent mismatch, inferred: {inferred.value}, specified: {asked.value}",
        )


def check_class_fits(new: NewOrder, intent: Intent) -> None:
    """Brackets and OTOs open positions, OCOs close them."""
    opening = intent in (Intent.BUY_TO_OPEN, Intent.SELL_TO_OPEN)
    if new.kind in (OrderClass.BRACKET, OrderClass.OTO) and not opening:
        raise unprocessable(f"{new.kind.value} orders must be entry orders")
    if new.kind is OrderClass.OCO and opening:
        raise unprocessable("oco orders must be exit orders")


def check_amount(asset: Asset, new: NewOrder, value: Decimal) -> None:
    """Least and most that an order of a part of a share, or of coins, may be worth, in dollars."""
    small = asset.is_crypto or is_fractional(new.quantity, new.notional)
    if small and ZERO < value < LEAST_AMOUNT and new.side is Side.BUY:
        raise Refusal(
            403,
            FORBIDDEN,
            f"cost basis must be >= minimal amount of order {LEAST_AMOUNT}",
            {"cost_basis": f"{plain(value):f}"},
        )
    if asset.is_crypto and value > MOST_CRYPTO_AMOUNT:
        raise unprocessable(f"notional must be <= {MOST_CRYPTO_AMOUNT}")


def check_buying_power(cost: Decimal, buying_power: Decimal) -> None:
    if cost > buying_power:
        raise Refusal(
            403,
            FORBIDDEN,
            "insufficient buying power",
            {"buying_power": f"{plain(buying_power):f}", "cost_basis": f"{plain(cost):f}"},
        )


def check_replaceable(order: Order) -> None:
    """Only a working order can be replaced; accepted, waiting and pending ones cannot, nor terminal ones."""
    if not order.is_open:
        raise unprocessable(f'order is already in "{order.status.value}" state')
    if order.status in LEAVING or not order.is_working:
        raise unprocessable(f'cannot replace order in "{order.status.value}" state')


def check_cancelable(order: Order) -> None:
    """A terminal order cannot be cancelled, nor one that is already on its way out."""
    if not order.is_open:
        raise unprocessable(f'order is already in "{order.status.value}" state')
    if order.status in LEAVING or is_waiting(order):
        raise unprocessable(f'order is not cancelable in "{order.status.value}" state')
