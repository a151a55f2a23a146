"""Orders that rest, and how they end."""

from typing import Any

from alpaca.trading.enums import OrderSide, OrderStatus, TimeInForce
from alpaca.trading.requests import LimitOrderRequest

from tests.contract.alpaca.account import PaperAccount

OPEN = (OrderStatus.PENDING_NEW, OrderStatus.NEW, OrderStatus.ACCEPTED)


def bid(account: PaperAccount, **fields: Any) -> LimitOrderRequest:
    """A purchase at two dollars, which nobody will sell to."""
    asked = {
        "symbol": "SPY",
        "qty": 1,
        "side": OrderSide.BUY,
        "time_in_force": TimeInForce.GTC,
        "limit_price": 2.0,
        "client_order_id": account.client_id(),
    }
    return LimitOrderRequest(**asked | fields)


def resting(account: PaperAccount, order_id: Any) -> Any:
    """The order once it can be changed: one in `accepted` or `pending_new` cannot."""
    found = account.trading.get_order_by_id(order_id)
    return found if found.status is OrderStatus.NEW else None


def ended(account: PaperAccount, order_id: Any) -> Any:
    found = account.trading.get_order_by_id(order_id)
    return found if found.status in (OrderStatus.CANCELED, OrderStatus.FILLED) else None
