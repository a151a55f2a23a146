"""What papermarket answers besides Alpaca: its own pages, options flow and derivatives intelligence."""

from typing import Any, Literal

from holdfast_papermarket.published.kinds import (
    Count,
    Day,
    DecimalText,
    Identity,
    Instant,
    Number,
    Published,
    Text,
)
from holdfast_papermarket.published.trading import NonTradeActivity, Order, Position, TradeActivity

Origin = Literal["recorded", "generated"]


class Books(Published):
    """The venue's own account of everything, for checking others against."""

    starting_cash: DecimalText
    cash: DecimalText
    unsettled_cash: DecimalText
    equity: DecimalText
    realised_pnl: DecimalText
    unrealised_pnl: DecimalText
    outside: dict[str, DecimalText]
    orders: list[Order]
    fills: list[TradeActivity]
    other_activities: list[NonTradeActivity]
    positions: list[Position]
    prices: dict[str, DecimalText | None]


class FaultCounter(Published):
    id: Text
    kind: Text
    seen: Count
    fired: Count


class Status(Published):
    """Where the replay stands, and in `waiting_for` what holds its next tick."""

    run_id: str
    tick: Count
    market_time: Instant
    pace: Literal["lockstep", "scaled"]
    running: bool
    ended: bool
    settled: bool
    waiting_for: list[Any]
    failed_requests: Count
    data_sent: Count | None
    trade_updates_sent: Count | None
    instants_done: Count
    instants_total: Count
    recording: dict[str, Any]
    faults: list[FaultCounter]


class FaultPlanShown(Published):
    """The plan as docs/faults.md describes it, with how often each fault was asked and fired."""

    seed: int
    faults: list[dict[str, Any]]
    counters: list[FaultCounter]


class FlowAlert(Published):
    """Sizes and money are decimal strings; null is not known."""

    id: Identity
    ticker: Text
    option_chain: Text
    type: Literal["call", "put"]
    strike: DecimalText
    expiry: Day
    price: DecimalText
    underlying_price: DecimalText | None
    total_size: DecimalText
    total_premium: DecimalText
    total_ask_side_prem: DecimalText
    total_bid_side_prem: DecimalText
    trade_count: DecimalText | None
    volume: DecimalText
    open_interest: DecimalText | None
    volume_oi_ratio: DecimalText | None
    has_sweep: bool
    has_floor: bool
    has_multileg: bool
    has_singleleg: bool
    all_opening_trades: bool
    alert_rule: Text
    rule_id: str | None
    expiry_count: DecimalText
    iv_start: DecimalText | None
    iv_end: DecimalText | None
    created_at: Instant
    start_time: Count
    end_time: Count
    issue_type: str
    sector: str | None
    marketcap: DecimalText | None
    next_earnings_date: Day | None
    er_time: str | None
    provenance: Origin
    made_up_fields: list[str]


class FlowAlerts(Published):
    data: list[FlowAlert]


class DarkPrint(Published):
    tracking_id: int | Text
    ticker: Text
    size: Count
    price: DecimalText
    premium: DecimalText
    nbbo_bid: DecimalText | None
    nbbo_ask: DecimalText | None
    nbbo_bid_quantity: Count | None
    nbbo_ask_quantity: Count | None
    executed_at: Instant
    volume: Count
    canceled: bool
    market_center: str
    ext_hour_sold_codes: str | None
    sale_cond_codes: str | None
    trade_code: str | None
    trade_settlement: str
    provenance: Origin


class DarkPrints(Published):
    data: list[DarkPrint]


class FlowError(Published):
    error: Text


class IntelligenceRefusal(Published):
    """HTTP 200 all the same."""

    code: Literal["400", "401", "404", "429", "500"]
    msg: Text


class _Interval(Published):
    """`time` is its start in milliseconds."""

    time: Count
    provenance: Origin


class TakerVolume(_Interval):
    taker_buy_volume_usd: DecimalText
    taker_sell_volume_usd: DecimalText


class TakerVolumeOfCoin(_Interval):
    aggregated_buy_volume_usd: Number
    aggregated_sell_volume_usd: Number


class AccountRatio(_Interval):
    global_account_long_percent: Number
    global_account_short_percent: Number
    global_account_long_short_ratio: Number


class TopAccountRatio(_Interval):
    top_account_long_percent: Number
    top_account_short_percent: Number
    top_account_long_short_ratio: Number


class Liquidations(_Interval):
    long_liquidation_usd: DecimalText
    short_liquidation_usd: DecimalText


class LiquidationsOfCoin(_Interval):
    aggregated_long_liquidation_usd: Number
    aggregated_short_liquidation_usd: Number


class Cvd(_Interval):
    taker_buy_vol: Number
    taker_sell_vol: Number
    cum_vol_delta: Number


class CvdOfCoin(_Interval):
    agg_taker_buy_vol: Number
    agg_taker_sell_vol: Number
    cum_vol_delta: Number


class TakerSides(Published):
    buy_ratio: Number | None
    sell_ratio: Number | None
    buy_vol_usd: Number
    sell_vol_usd: Number


class TakerSidesOfExchange(TakerSides):
    exchange: Text


class TakerNow(TakerSides):
    symbol: Text
    exchange_list: list[TakerSidesOfExchange]
    provenance: Origin


class LiquidationHeatmap(Published):
    y_axis: list[Number]
    liquidation_leverage_data: list[list[Number]]
    price_candlesticks: list[list[int | DecimalText]]
    update_time: Count
    provenance: Origin


class WhaleTrade(Published):
    """`position_action` 1 opens, 2 closes."""

    user: Text
    symbol: Text
    position_size: Number
    entry_price: Number
    liq_price: Number
    position_value_usd: Number
    position_action: Literal[1, 2]
    create_time: Count
    provenance: Origin


class _Success(Published):
    code: Literal["0"]
    msg: Literal["success"]


class Coins(_Success):
    data: list[Text]


class TakerVolumes(_Success):
    data: list[TakerVolume]


class TakerVolumesOfCoin(_Success):
    data: list[TakerVolumeOfCoin]


class AccountRatios(_Success):
    data: list[AccountRatio]


class TopAccountRatios(_Success):
    data: list[TopAccountRatio]


class LiquidationHistory(_Success):
    data: list[Liquidations]


class LiquidationHistoryOfCoin(_Success):
    data: list[LiquidationsOfCoin]


class CvdHistory(_Success):
    data: list[Cvd]


class CvdHistoryOfCoin(_Success):
    data: list[CvdOfCoin]


class TakerNowAnswer(_Success):
    data: TakerNow


class HeatmapAnswer(_Success):
    data: LiquidationHeatmap


class WhaleTrades(_Success):
    data: list[WhaleTrade]
