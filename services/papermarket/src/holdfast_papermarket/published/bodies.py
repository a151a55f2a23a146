"""What is sent to the Trading API. Numbers may be strings or JSON numbers."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from holdfast_papermarket.published.kinds import (
    DecimalText,
    OrderClass,
    OrderSide,
    OrderType,
    PositionIntent,
    Published,
    Text,
    TimeInForce,
)

Amount = DecimalText | float
ClientId = Annotated[str, StringConstraints(max_length=128)]


class TakeProfit(Published):
    limit_price: Amount


class StopLoss(Published):
    stop_price: Amount
    limit_price: Amount | None = None


class NewOrder(Published):
    """Either `qty` or `notional`."""

    symbol: Text
    qty: Amount | None = None
    notional: Amount | None = None
    side: OrderSide
    type: OrderType
    time_in_force: TimeInForce
    limit_price: Amount | None = None
    stop_price: Amount | None = None
    trail_price: Amount | None = None
    trail_percent: Amount | None = None
    extended_hours: bool = False
    client_order_id: ClientId | None = Field(None, description="Unique in the account, for good. Made if it is absent.")
    order_class: OrderClass = "simple"
    take_profit: TakeProfit | None = None
    stop_loss: StopLoss | None = None
    position_intent: PositionIntent | None = None


class OrderChange(Published):
    """What is absent stays as it was. The answer is a new order with an id of its own."""

    qty: Amount | None = None
    time_in_force: TimeInForce | None = None
    limit_price: Amount | None = None
    stop_price: Amount | None = None
    trail: Amount | None = None
    client_order_id: ClientId | None = None


class AccountConfigurationsChange(Published):
    """What is absent stays as it was."""

    dtbp_check: Literal["both", "entry", "exit"] | None = None
    pdt_check: Literal["both", "entry", "exit"] | None = None
    fractional_trading: bool | None = None
    max_margin_multiplier: Literal["1", "2", "4"] | None = None
    max_options_trading_level: Literal[0, 1, 2, 3] | None = None
    no_shorting: bool | None = None
    ptp_no_exception_entry: bool | None = None
    suspend_trade: bool | None = None
    trade_confirm_email: Literal["all", "none"] | None = None
    disable_overnight_trading: bool | None = None
