"""The Trading API's answers."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from holdfast_papermarket.published.kinds import (
    AccountStatus,
    AssetClass,
    Count,
    Day,
    DayOrInstant,
    DecimalText,
    Exchange,
    HourMinute,
    Identity,
    Instant,
    NonTradeActivityType,
    Number,
    OrderClass,
    OrderSide,
    OrderStatus,
    OrderType,
    PlainHourMinute,
    PositionIntent,
    Published,
    Text,
    TimeInForce,
    TradeEvent,
)


class OrderLeg(Published):
    """A leg of a bracket, OCO or OTO order: an order without legs."""

    id: Identity
    client_order_id: Annotated[str, StringConstraints(max_length=128)]
    created_at: Instant
    updated_at: Instant | None
    submitted_at: Instant | None
    filled_at: Instant | None
    expired_at: Instant | None
    canceled_at: Instant | None
    failed_at: Instant | None
    replaced_at: Instant | None
    replaced_by: Identity | None
    replaces: Identity | None
    asset_id: Identity
    symbol: Text
    asset_class: AssetClass
    notional: DecimalText | None
    qty: DecimalText | None
    filled_qty: DecimalText
    filled_avg_price: DecimalText | None
    order_class: OrderClass
    order_type: OrderType
    type: OrderType
    side: OrderSide
    position_intent: PositionIntent | None = None
    time_in_force: TimeInForce
    limit_price: DecimalText | None
    stop_price: DecimalText | None
    status: OrderStatus
    extended_hours: bool
    legs: None = None
    trail_percent: DecimalText | None
    trail_price: DecimalText | None
    hwm: DecimalText | None
    expires_at: Instant | None = None
    ratio_qty: DecimalText | None = None
    subtag: str | None = None
    """Sent, though not published; as is `source`."""
    source: str | None = None


class Order(OrderLeg):
    """An order; with `nested=true` its legs are in it."""

    legs: list[OrderLeg] | None  # type: ignore[assignment]  # a leg's legs are always null


class CancelledOrder(Published):
    """One item of the answer to DELETE /v2/orders; `status` is what the single DELETE would have answered."""

    id: Identity
    status: int
    body: Any = None


class Position(Published):
    asset_id: Identity
    symbol: Text
    exchange: Exchange
    asset_class: AssetClass
    asset_marginable: bool
    qty: DecimalText
    qty_available: DecimalText
    avg_entry_price: DecimalText
    side: Literal["long", "short"]
    market_value: DecimalText
    cost_basis: DecimalText
    unrealized_pl: DecimalText
    unrealized_plpc: DecimalText
    unrealized_intraday_pl: DecimalText
    unrealized_intraday_plpc: DecimalText
    current_price: DecimalText
    lastday_price: DecimalText
    change_today: DecimalText
    avg_entry_swap_rate: DecimalText | None = None
    swap_rate: DecimalText | None = None
    prev_swap_rate: DecimalText | None = None
    usd: dict[str, DecimalText] | None = None


class ErrorBody(Published):
    """Every refusal. `code` is the HTTP status and four digits of its own; authentication errors have none.

    The rest explains a refusal for lack of shares or of buying power.
    """

    message: Text
    code: int | None = None
    symbol: str | None = None
    available: DecimalText | None = None
    existing_qty: DecimalText | None = None
    held_for_orders: DecimalText | None = None
    related_orders: list[Identity] | None = None
    buying_power: DecimalText | None = None
    cost_basis: DecimalText | None = None


class ClosedPosition(Published):
    """One item of the answer to DELETE /v2/positions."""

    symbol: Text
    status: int
    body: Order | ErrorBody


class Account(Published):
    id: Identity
    account_number: Text
    status: AccountStatus
    crypto_status: AccountStatus
    currency: Literal["USD"]
    buying_power: DecimalText
    regt_buying_power: DecimalText
    daytrading_buying_power: DecimalText = "0"
    effective_buying_power: DecimalText = "0"
    non_marginable_buying_power: DecimalText
    options_buying_power: DecimalText
    bod_dtbp: DecimalText | Number = "0"
    cash: DecimalText
    accrued_fees: DecimalText
    pending_transfer_in: DecimalText = "0"
    pending_transfer_out: DecimalText = "0"
    portfolio_value: DecimalText
    equity: DecimalText
    last_equity: DecimalText
    long_market_value: DecimalText
    short_market_value: DecimalText
    position_market_value: DecimalText = "0"
    initial_margin: DecimalText
    maintenance_margin: DecimalText
    last_maintenance_margin: DecimalText
    sma: DecimalText
    multiplier: Literal["1", "2", "4"]
    pattern_day_trader: bool = False
    """No longer sent by Alpaca since July 2026, as the SDK notes; `daytrade_count` too."""
    daytrade_count: Count = 0
    shorting_enabled: bool
    trading_blocked: bool
    transfers_blocked: bool
    account_blocked: bool
    trade_suspended_by_user: bool
    created_at: Instant
    balance_asof: Day
    crypto_tier: Count = 0
    options_approved_level: Literal[0, 1, 2, 3]
    options_trading_level: Literal[0, 1, 2, 3]
    intraday_adjustments: DecimalText
    pending_reg_taf_fees: DecimalText
    admin_configurations: dict[str, Any] | None = None
    user_configurations: dict[str, Any] | None = None


class AccountConfigurations(Published):
    dtbp_check: Literal["both", "entry", "exit"] = "entry"
    pdt_check: Literal["both", "entry", "exit"] = "entry"
    fractional_trading: bool
    max_margin_multiplier: Literal["1", "2", "4"]
    max_options_trading_level: Literal[0, 1, 2, 3] | None
    no_shorting: bool
    ptp_no_exception_entry: bool
    suspend_trade: bool
    trade_confirm_email: Literal["all", "none"]
    disable_overnight_trading: bool = False


class TradeActivity(Published):
    """A fill. `account_id` is not published, but the SDK's model needs it."""

    id: Text
    account_id: Identity | None = None
    activity_type: Literal["FILL"]
    transaction_time: Instant
    type: Literal["fill", "partial_fill"]
    price: DecimalText
    qty: DecimalText
    side: Literal["buy", "sell", "sell_short"]
    symbol: Text
    leaves_qty: DecimalText
    cum_qty: DecimalText
    order_id: Identity
    order_status: OrderStatus


class NonTradeActivity(Published):
    """Anything else that changed the account: dividends, splits, fees, transfers."""

    id: Text
    account_id: Identity | None = None
    activity_type: NonTradeActivityType
    activity_sub_type: str | None = None
    date: DayOrInstant
    created_at: Instant | None = None
    net_amount: DecimalText
    currency: str | None = None
    description: str | None = None
    symbol: str | None = None
    cusip: str | None = None
    qty: DecimalText | None = None
    price: DecimalText | None = None
    per_share_amount: DecimalText | None = None
    status: Literal["executed", "correct", "canceled"] | None = None
    group_id: str | None = None


Activities = list[Annotated[TradeActivity | NonTradeActivity, Field(union_mode="left_to_right")]]


class PortfolioHistory(Published):
    """Equal lengths; `timestamp` is Unix seconds, the beginning of each window."""

    timestamp: list[int]
    equity: list[Number | None]
    profit_loss: list[Number | None]
    profit_loss_pct: list[Number | None]
    base_value: Number
    base_value_asof: Day | None = None
    timeframe: Literal["1Min", "5Min", "15Min", "1H", "1D"]
    cashflow: dict[str, list[Number]] = Field(default_factory=dict)


class Asset(Published):
    id: Identity
    asset_class: AssetClass = Field(alias="class")
    exchange: Exchange
    symbol: Text
    name: str
    status: Literal["active", "inactive"]
    tradable: bool
    marginable: bool
    shortable: bool
    easy_to_borrow: bool
    fractionable: bool
    maintenance_margin_requirement: Number = 0.0
    margin_requirement_long: DecimalText = "0"
    margin_requirement_short: DecimalText = "0"
    attributes: list[str] | None = None
    borrow_status: Literal["easy_to_borrow", "hard_to_borrow", ""] | None = None
    cusip: str | None = None
    min_order_size: DecimalText | None = None
    """This and the next two for crypto only."""
    min_trade_increment: DecimalText | None = None
    price_increment: DecimalText | None = None


class Clock(Published):
    timestamp: Instant
    is_open: bool
    next_open: Instant
    next_close: Instant


class CalendarDay(Published):
    """Times are New York's."""

    date: Day
    open: HourMinute
    close: HourMinute
    session_open: PlainHourMinute
    session_close: PlainHourMinute
    settlement_date: Day


class Announcement(Published):
    """A corporate action as announced."""

    id: Identity
    corporate_action_id: Text
    corporate_actions_id: str | None = None
    ca_type: Literal["dividend", "merger", "spinoff", "split"]
    ca_sub_type: Literal[
        "cash", "stock", "merger_update", "merger_completion", "spinoff", "stock_split", "unit_split", "reverse_split",
        "recapitalization",
    ]  # fmt: skip
    initiating_symbol: str
    initiating_original_cusip: str
    target_symbol: str | None = None
    target_original_cusip: str | None = None
    declaration_date: Day | None = None
    expiration_date: Day | None = None
    ex_date: Day | None = None
    record_date: Day | None = None
    payable_date: Day | None = None
    cash: DecimalText
    old_rate: DecimalText
    new_rate: DecimalText


class UpdateData(Published):
    """What a trade update tells. Price, quantity and position come with fills only."""

    event: TradeEvent
    timestamp: Instant
    order: Order
    event_id: str | None = None
    execution_id: Identity | None = None
    price: DecimalText | None = None
    qty: DecimalText | None = None
    position_qty: DecimalText | None = None


class TradeUpdate(Published):
    """One frame of the trading stream."""

    stream: Literal["trade_updates"]
    data: UpdateData


class Authorization(Published):
    status: Literal["authorized", "unauthorized"]
    action: Literal["authenticate", "listen"]


class AuthorizationFrame(Published):
    stream: Literal["authorization"]
    data: Authorization


class Listening(Published):
    streams: list[str]


class ListeningFrame(Published):
    stream: Literal["listening"]
    data: Listening
