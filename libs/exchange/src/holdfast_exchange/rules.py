"""Which orders there are: fields that fit together, whatever account and market do (BR-2, BR-5).

Each check raises Refusal in Alpaca's codes and words where they are known.
"""

from decimal import Decimal

from holdfast_exchange.assets import FRACTION, Asset
from holdfast_exchange.orders import (
    LIMITED,
    ZERO,
    NewOrder,
    Order,
    OrderClass,
    OrderType,
    Refusal,
    Replacement,
    TimeInForce,
)

UNPROCESSABLE = 42210000
FORBIDDEN = 40310000
MAX_CLIENT_ORDER_ID = 128
LEAST_AMOUNT = Decimal(1)
"""Dollars that an order for a part of a share, in dollars or in coins must be worth."""
MOST_CRYPTO_AMOUNT = Decimal(200_000)
"""Dollars that one crypto order may be worth."""
MOST_DOLLARS, MOST_UNITS = Decimal(10**9), Decimal(10**12)
"""Of an order's prices and notional, and of its shares or coins: reckoning with them stays exact."""
CENT = Decimal("0.01")
HUNDRED = Decimal(100)
_NAMES = {
    OrderType.MARKET: "market",
    OrderType.LIMIT: "limit",
    OrderType.STOP: "stop",
    OrderType.STOP_LIMIT: "stop limit",
    OrderType.TRAILING_STOP: "trailing stop",
}
_AUCTIONS = frozenset({TimeInForce.OPG, TimeInForce.CLS})
_IMMEDIATE = frozenset({TimeInForce.IOC, TimeInForce.FOK})
_LASTING = frozenset({TimeInForce.DAY, TimeInForce.GTC})
_CRYPTO_TYPES = frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP_LIMIT})
_CRYPTO_TIMES = frozenset({TimeInForce.GTC, TimeInForce.IOC})
_ENTRY_TYPES = frozenset({OrderType.MARKET, OrderType.LIMIT})


def unprocessable(message: str) -> Refusal:
    return Refusal(422, UNPROCESSABLE, message)


def check_shape(new: NewOrder, asset: Asset) -> None:
    """Everything about an order that needs no price and no position."""
    if len(new.client_order_id) > MAX_CLIENT_ORDER_ID:
        raise unprocessable(f"client_order_id must be no more than {MAX_CLIENT_ORDER_ID} characters")
    _check_size(new, asset)
    _check_prices_fit(new)
    for name, price in (
        ("limit_price", new.limit_price),
        ("stop_price", new.stop_price),
        ("take_profit.limit_price", new.take_profit_price),
        ("stop_loss.stop_price", new.protect_stop_price),
        ("stop_loss.limit_price", new.protect_limit_price),
    ):
        check_price(name, price, asset)
    _check_trail(new)
    if asset.is_crypto:
        _check_crypto(new)
    else:
        _check_equity(new)


def _check_size(new: NewOrder, asset: Asset) -> None:
    if new.notional is None:
        check_quantity(new.quantity, asset)
        return
    if new.quantity:
        raise unprocessable("only one of qty or notional is accepted")
    if not new.notional.is_finite() or new.notional <= 0:
        raise unprocessable("notional must be > 0")
    if new.notional > MOST_DOLLARS:
        raise unprocessable(f"notional must be <= {MOST_DOLLARS}")
    if new.notional < LEAST_AMOUNT:
        raise unprocessable("notional must be >= 1.00")
    if new.notional % CENT:
        raise unprocessable("notional value must be limited to 2 decimal places")
    if not asset.fractionable:
        raise Refusal(403, FORBIDDEN, "requested asset is not fractionable")


def check_quantity(quantity: Decimal, asset: Asset) -> None:
    if not quantity.is_finite() or quantity <= 0:
        raise unprocessable("qty must be > 0")
    if quantity > MOST_UNITS:
        raise unprocessable(f"qty must be <= {MOST_UNITS}")
    whole = quantity == quantity.to_integral_value()
    if not whole and not asset.fractionable:
        raise Refusal(403, FORBIDDEN, "requested asset is not fractionable")
    if quantity % FRACTION:
        raise unprocessable("qty value must be limited to 9 decimal places")
    if asset.min_trade_increment is not None and quantity % asset.min_trade_increment:
        raise unprocessable(f"qty must be a multiple of {asset.min_trade_increment}")
    if asset.min_order_size is not None and quantity < asset.min_order_size:
        raise unprocessable(f"qty must be >= {asset.min_order_size}")


def check_price(name: str, price: Decimal | None, asset: Asset) -> None:
    if price is None:
        return
    if not price.is_finite() or price <= 0:
        raise unprocessable(f"{name} must be > 0")
    if price > MOST_DOLLARS:
        raise unprocessable(f"{name} must be <= {MOST_DOLLARS}")
    if price % asset.tick(price):
        raise unprocessable(f"invalid {name} {price}. sub-penny increment does not fulfill minimum pricing criteria")


def _check_prices_fit(new: NewOrder) -> None:
    name = _NAMES[new.type]
    # An OCO is its take profit: the limit may stand in either place.
    limited = new.limit_price is not None or (new.kind is OrderClass.OCO and new.take_profit_price is not None)
    if new.type in LIMITED and not limited:
        raise unprocessable(f"{name} orders require a limit price")
    if new.type not in LIMITED and new.limit_price is not None:
        raise unprocessable(f"{name} orders must not have a limit price")
    wants_stop = new.type in (OrderType.STOP, OrderType.STOP_LIMIT)
    if wants_stop and new.stop_price is None:
        raise unprocessable(f"{name} orders require a stop price")
    if not wants_stop and new.stop_price is not None:
        raise unprocessable(f"{name} orders must not have a stop price")


def _check_trail(new: NewOrder) -> None:
    trails = [trail for trail in (new.trail_price, new.trail_percent) if trail is not None]
    if new.type is not OrderType.TRAILING_STOP:
        if trails:
            raise unprocessable(f"{_NAMES[new.type]} orders must not have a trail")
        return
    if len(trails) != 1:
        raise unprocessable("trailing stop orders must specify one of trail_price or trail_percent")
    check_trail(new.trail_price, new.trail_percent)


def check_trail(trail_price: Decimal | None, trail_percent: Decimal | None) -> None:
    """The one that is given must be a distance."""
    if trail_price is not None and not (trail_price.is_finite() and trail_price > 0):
        raise unprocessable("trail_price must be > 0")
    if trail_price is not None and trail_price > MOST_DOLLARS:
        raise unprocessable(f"trail_price must be <= {MOST_DOLLARS}")
    if trail_percent is not None and not (trail_percent.is_finite() and ZERO < trail_percent < HUNDRED):
        raise unprocessable("trail_percent must be > 0 and < 100")


def _check_crypto(new: NewOrder) -> None:
    if new.type not in _CRYPTO_TYPES:
        raise unprocessable("invalid order type for crypto order")
    if new.time_in_force not in _CRYPTO_TIMES:
        raise unprocessable("invalid crypto time_in_force")
    if new.kind is not OrderClass.SIMPLE:
        raise unprocessable(f"crypto orders not allowed for advanced order_class: {new.kind.value}")
    if new.extended_hours:
        raise unprocessable("crypto orders do not have extended hours")


def _check_equity(new: NewOrder) -> None:
    force, kind = new.time_in_force, new.type
    if force in _AUCTIONS | _IMMEDIATE and kind not in _ENTRY_TYPES:
        raise unprocessable(f"{force.value} orders must be market or limit orders")
    if new.kind is not OrderClass.SIMPLE:
        _check_class(new)
    elif new.take_profit_price is not None or new.protect_stop_price is not None:
        raise unprocessable("simple orders must not have take_profit or stop_loss")
    if new.extended_hours and not (kind is OrderType.LIMIT and force in _LASTING):
        raise unprocessable("extended hours order must be DAY limit orders")
    if is_fractional(new.quantity, new.notional):
        _check_fraction(new)


def _check_fraction(new: NewOrder) -> None:
    if new.time_in_force is not TimeInForce.DAY:
        raise unprocessable("fractional orders must be DAY orders")
    if new.type is OrderType.TRAILING_STOP:
        raise unprocessable("fractional orders must not be trailing stop orders")
    if new.kind is not OrderClass.SIMPLE:
        raise unprocessable("fractional orders must be simple orders")
    if new.extended_hours:
        raise unprocessable("fractional orders are not allowed in extended hours")


def _check_class(new: NewOrder) -> None:
    name = new.kind.value
    if new.time_in_force not in _LASTING:
        raise unprocessable(f"{name} orders must be DAY or GTC orders")
    if new.extended_hours:
        raise unprocessable(f"{name} orders are not allowed in extended hours")
    if new.kind is OrderClass.OCO:
        if new.type is not OrderType.LIMIT:
            raise unprocessable("oco orders must be limit orders")
        if (
            new.limit_price is not None
            and new.take_profit_price is not None
            and new.limit_price != new.take_profit_price
        ):
            raise unprocessable("oco orders have one limit price, that of take_profit")
    elif new.type not in _ENTRY_TYPES:
        raise unprocessable(f"{name} orders must be market or limit orders")
    gains = new.take_profit_price is not None or (new.kind is OrderClass.OCO and new.limit_price is not None)
    if new.kind is OrderClass.OTO:
        if gains == (new.protect_stop_price is not None):
            raise unprocessable("oto orders require either take_profit.limit_price or stop_loss.stop_price")
    elif not gains:
        raise unprocessable(f"{name} orders require take_profit.limit_price")
    elif new.protect_stop_price is None:
        raise unprocessable(f"{name} orders require stop_loss.stop_price")
    if new.protect_limit_price is not None and new.protect_stop_price is None:
        raise unprocessable(f"{name} orders require stop_loss.stop_price")


def check_change(old: Order, change: Replacement) -> None:
    """What a replacement may change of an order of that kind."""
    name = _NAMES[old.type]
    if old.notional is not None:
        raise unprocessable("notional orders cannot be replaced")
    if change.limit_price is not None and old.limit_price is None:
        raise unprocessable(f"{name} orders do not have a limit price")
    if change.stop_price is not None and old.type not in (OrderType.STOP, OrderType.STOP_LIMIT):
        raise unprocessable(f"{name} orders do not have a stop price")
    if change.trail is not None and old.type is not OrderType.TRAILING_STOP:
        raise unprocessable(f"{name} orders do not have a trail")
    if old.triggered and (change.stop_price is not None or change.trail is not None):
        raise unprocessable("the stop price has been hit already")
    if change.quantity is not None and change.quantity != old.quantity:
        if is_fractional(old.quantity, None):
            raise unprocessable("qty of fractional orders cannot be replaced")
        if change.quantity != change.quantity.to_integral_value():
            raise unprocessable("qty must be integer")
        if old.order_class in (OrderClass.BRACKET, OrderClass.OCO):
            raise unprocessable(f"qty of {old.order_class.value} orders cannot be replaced")
        if change.quantity <= old.filled_quantity:
            raise unprocessable("qty must be > filled_qty")


def is_fractional(quantity: Decimal, notional: Decimal | None) -> bool:
    """True for parts of shares and for orders in dollars."""
    return notional is not None or quantity != quantity.to_integral_value()
