"""Every endpoint of Alpaca's that papermarket has: its query, its body, its answer and its refusals."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from holdfast_papermarket.published import bodies, market, trading
from holdfast_papermarket.published.kinds import Count, Day, DayOrInstant, DecimalText, Sort, Text

TRADING, DATA = "trading", "market data"
AUTHENTICATED = (401, 403, 429)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One query value. Its text is what the OpenAPI page shows."""

    name: str
    kind: Any = str
    required: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`answer` is the kind of the body where `status` is answered, None where it has none."""

    method: Literal["GET", "POST", "PATCH", "DELETE", "PUT"]
    path: str
    summary: str
    answer: Any
    status: int = 200
    query: tuple[Parameter, ...] = ()
    body: Any = None
    refusals: tuple[int, ...] = ()
    refusal: Any = trading.ErrorBody
    """Kind of the body of a refusal."""
    common: tuple[int, ...] = AUTHENTICATED
    keys: tuple[str, ...] = ("key", "secret")
    """Which secrets it asks for: see SECRETS in openapi.py."""
    tag: str = TRADING

    @property
    def statuses(self) -> tuple[int, ...]:
        """Of the refusals, those that every endpoint has included."""
        return tuple(sorted({*self.refusals, *self.common}))


def _q(name: str, kind: Any = str, text: str = "", *, required: bool = False) -> Parameter:
    return Parameter(name=name, kind=kind, required=required, text=text)


NESTED = _q("nested", bool, "Legs inside their parent, under `legs`.")
SYMBOLS = _q("symbols", Text, "Separated by commas; 100 at most.", required=True)
FEED = _q("feed", Literal["iex", "sip", "delayed_sip", "otc", "boats", "overnight"])
CURRENCY = _q("currency", Text, "ISO 4217; USD.")
WINDOW = (
    _q("start", DayOrInstant, "Inclusive. The beginning of the present day by default."),
    _q("end", DayOrInstant, "Inclusive. The present market time by default, and at the most."),
)
PAGE = (
    _q("limit", Count, "Items of a page, over all symbols: 1 to 10000, 1000 by default."),
    _q("page_token", Text, "The `next_page_token` of the page before."),
    _q("sort", Sort, "By time; `asc` by default."),
)
TIMEFRAME = _q("timeframe", Text, "1-59Min, 1-23Hour, 1Day, 1Week, 1-12Month.", required=True)
ADJUSTMENT = _q("adjustment", Text, "raw, split, dividend, all.")
ASOF = _q("asof", Day, "Symbols are meant as they were on this day.")
ACTIVITY_QUERY = (
    _q("date", DayOrInstant),
    _q("until", DayOrInstant),
    _q("after", DayOrInstant),
    _q("direction", Sort, "`desc` by default."),
    _q("page_size", Count, "1 to 100, 100 by default."),
    _q("page_token", Text, "The id of the last activity of the page before."),
)

ACCOUNT = (
    Endpoint(method="GET", path="/v2/account", summary="The account", answer=trading.Account),
    Endpoint(
        method="GET",
        path="/v2/account/configurations",
        summary="The account's settings",
        answer=trading.AccountConfigurations,
    ),
    Endpoint(
        method="PATCH",
        path="/v2/account/configurations",
        summary="Change settings",
        answer=trading.AccountConfigurations,
        body=bodies.AccountConfigurationsChange,
        refusals=(400, 422),
    ),
    Endpoint(
        method="GET",
        path="/v2/account/activities",
        summary="Activities of any kind",
        answer=trading.Activities,
        query=(
            _q("activity_types", Text, "Separated by commas."),
            _q("category", Literal["trade_activity", "non_trade_activity"], "Not together with activity_types."),
            *ACTIVITY_QUERY,
        ),
        refusals=(400, 422),
    ),
    Endpoint(
        method="GET",
        path="/v2/account/activities/{activity_type}",
        summary="Activities of one kind",
        answer=trading.Activities,
        query=ACTIVITY_QUERY,
        refusals=(400, 422),
    ),
    Endpoint(
        method="GET",
        path="/v2/account/portfolio/history",
        summary="Equity over time",
        answer=trading.PortfolioHistory,
        query=(
            _q("period", Text, "A number and D, W, M or A; 1M by default."),
            _q("timeframe", Literal["1Min", "5Min", "15Min", "1H", "1D"]),
            _q("intraday_reporting", Literal["market_hours", "extended_hours", "continuous"]),
            _q("start", DayOrInstant),
            _q("end", DayOrInstant),
            _q("pnl_reset", Literal["no_reset", "per_day"]),
            _q("extended_hours", Text),
            _q("cashflow_types", Text),
        ),
        refusals=(400, 422),
    ),
)

ORDERS = (
    Endpoint(
        method="POST",
        path="/v2/orders",
        summary="Submit an order",
        answer=trading.Order,
        body=bodies.NewOrder,
        refusals=(400, 403, 422),
    ),
    Endpoint(
        method="GET",
        path="/v2/orders",
        summary="Orders",
        answer=list[trading.Order],
        query=(
            _q("status", Literal["open", "closed", "all"], "`open` by default."),
            _q("limit", Count, "1 to 500, 50 by default."),
            _q("after", DayOrInstant, "Submitted later than this."),
            _q("until", DayOrInstant, "Submitted earlier than this."),
            _q("direction", Sort, "By submission; `desc` by default."),
            NESTED,
            _q("symbols", Text, "Separated by commas."),
            _q("side", Literal["buy", "sell"]),
            _q("asset_class", Text, "Separated by commas: us_equity, crypto, us_option, all."),
            _q("before_order_id", Text),
            _q("after_order_id", Text),
        ),
        refusals=(400, 422),
    ),
    Endpoint(
        method="DELETE",
        path="/v2/orders",
        summary="Cancel every open order",
        answer=list[trading.CancelledOrder],
        status=207,
    ),
    Endpoint(
        method="GET",
        path="/v2/orders:by_client_order_id",
        summary="An order by the client's id",
        answer=trading.Order,
        query=(_q("client_order_id", Text, required=True), NESTED),
        refusals=(404, 422),
    ),
    Endpoint(
        method="GET",
        path="/v2/orders/{order_id}",
        summary="An order",
        answer=trading.Order,
        query=(NESTED,),
        refusals=(400, 404, 422),
    ),
    Endpoint(
        method="PATCH",
        path="/v2/orders/{order_id}",
        summary="Replace an order",
        answer=trading.Order,
        body=bodies.OrderChange,
        refusals=(400, 403, 404, 422),
    ),
    Endpoint(
        method="DELETE",
        path="/v2/orders/{order_id}",
        summary="Cancel an order",
        answer=None,
        status=204,
        refusals=(404, 422),
    ),
)

POSITIONS = (
    Endpoint(method="GET", path="/v2/positions", summary="Open positions", answer=list[trading.Position]),
    Endpoint(
        method="DELETE",
        path="/v2/positions",
        summary="Close every position",
        answer=list[trading.ClosedPosition],
        status=207,
        query=(_q("cancel_orders", bool, "Cancel every open order before."),),
    ),
    Endpoint(
        method="GET",
        path="/v2/positions/{symbol_or_asset_id}",
        summary="An open position",
        answer=trading.Position,
        refusals=(404,),
    ),
    Endpoint(
        method="DELETE",
        path="/v2/positions/{symbol_or_asset_id}",
        summary="Close a position, in whole or in part",
        answer=trading.Order,
        query=(_q("qty", DecimalText), _q("percentage", DecimalText, "0 to 100; not together with qty.")),
        refusals=(403, 404, 422),
    ),
)

REFERENCE = (
    Endpoint(method="GET", path="/v2/clock", summary="Market time", answer=trading.Clock),
    Endpoint(
        method="GET",
        path="/v2/calendar",
        summary="Sessions",
        answer=list[trading.CalendarDay],
        query=(_q("start", DayOrInstant), _q("end", DayOrInstant), _q("date_type", Literal["TRADING", "SETTLEMENT"])),
        refusals=(400,),
    ),
    Endpoint(
        method="GET",
        path="/v2/assets",
        summary="What can be traded",
        answer=list[trading.Asset],
        query=(
            _q("status", Literal["active", "inactive", "all"]),
            _q("asset_class", Literal["us_equity", "us_option", "crypto"]),
            _q("exchange", Text),
            _q("attributes", Text),
        ),
    ),
    Endpoint(
        method="GET",
        path="/v2/assets/{symbol_or_asset_id}",
        summary="One asset",
        answer=trading.Asset,
        refusals=(404,),
    ),
    Endpoint(
        method="GET",
        path="/v2/corporate_actions/announcements",
        summary="Corporate actions as announced",
        answer=list[trading.Announcement],
        query=(
            _q("ca_types", Text, "dividend, merger, spinoff, split; separated by commas.", required=True),
            _q("since", Day, required=True),
            _q("until", Day, "At most 90 days after since.", required=True),
            _q("symbol", Text),
            _q("cusip", Text),
            _q("date_type", Literal["declaration_date", "ex_date", "record_date", "payable_date"]),
        ),
        refusals=(400, 422),
    ),
    Endpoint(
        method="GET",
        path="/v2/corporate_actions/announcements/{id}",
        summary="One corporate action",
        answer=trading.Announcement,
        refusals=(404,),
    ),
)


def _data(path: str, summary: str, answer: Any, *query: Parameter, refusals: tuple[int, ...] = (400,)) -> Endpoint:
    return Endpoint(method="GET", path=path, summary=summary, answer=answer, query=query, refusals=refusals, tag=DATA)


_HISTORY = (*WINDOW, *PAGE, FEED, ASOF, CURRENCY)
STOCKS = (
    _data("/v2/stocks/bars", "Bars", market.StockBars, SYMBOLS, TIMEFRAME, *_HISTORY, ADJUSTMENT),
    _data("/v2/stocks/quotes", "Quotes", market.StockQuotes, SYMBOLS, *_HISTORY),
    _data("/v2/stocks/trades", "Trades", market.StockTrades, SYMBOLS, *_HISTORY),
    _data("/v2/stocks/bars/latest", "Newest bars", market.LatestStockBars, SYMBOLS, FEED, CURRENCY),
    _data("/v2/stocks/quotes/latest", "Newest quotes", market.LatestStockQuotes, SYMBOLS, FEED, CURRENCY),
    _data("/v2/stocks/trades/latest", "Newest trades", market.LatestStockTrades, SYMBOLS, FEED, CURRENCY),
    _data("/v2/stocks/snapshots", "Snapshots", market.StockSnapshots, SYMBOLS, FEED, CURRENCY),
    _data("/v2/stocks/meta/exchanges", "Codes of exchanges", market.Names),
    _data(
        "/v2/stocks/meta/conditions/{ticktype}",
        "Codes of conditions",
        market.Names,
        _q("tape", Literal["A", "B", "C"], required=True),
    ),
    _data("/v2/stocks/{symbol}/bars", "Bars of one", market.StockBarsOfOne, TIMEFRAME, *_HISTORY, ADJUSTMENT),
    _data("/v2/stocks/{symbol}/quotes", "Quotes of one", market.StockQuotesOfOne, *_HISTORY),
    _data("/v2/stocks/{symbol}/trades", "Trades of one", market.StockTradesOfOne, *_HISTORY),
    _data(
        "/v2/stocks/{symbol}/bars/latest",
        "Newest bar of one",
        market.LatestStockBar,
        FEED,
        CURRENCY,
        refusals=(400, 404),
    ),
    _data(
        "/v2/stocks/{symbol}/quotes/latest",
        "Newest quote of one",
        market.LatestStockQuote,
        FEED,
        CURRENCY,
        refusals=(400, 404),
    ),
    _data(
        "/v2/stocks/{symbol}/trades/latest",
        "Newest trade of one",
        market.LatestStockTrade,
        FEED,
        CURRENCY,
        refusals=(400, 404),
    ),
    _data(
        "/v2/stocks/{symbol}/snapshot",
        "Snapshot of one",
        market.StockSnapshotOfOne,
        FEED,
        CURRENCY,
        refusals=(400, 404),
    ),
)
CRYPTO = tuple(
    # Asked without keys it answers all the same.
    replace(each, keys=())
    for each in (
        _data("/v1beta3/crypto/{loc}/bars", "Bars", market.CryptoBars, SYMBOLS, TIMEFRAME, *WINDOW, *PAGE),
        _data("/v1beta3/crypto/{loc}/quotes", "Quotes", market.CryptoQuotes, SYMBOLS, *WINDOW, *PAGE),
        _data("/v1beta3/crypto/{loc}/trades", "Trades", market.CryptoTrades, SYMBOLS, *WINDOW, *PAGE),
        _data("/v1beta3/crypto/{loc}/latest/bars", "Newest bars", market.LatestCryptoBars, SYMBOLS),
        _data("/v1beta3/crypto/{loc}/latest/quotes", "Newest quotes", market.LatestCryptoQuotes, SYMBOLS),
        _data("/v1beta3/crypto/{loc}/latest/trades", "Newest trades", market.LatestCryptoTrades, SYMBOLS),
        _data("/v1beta3/crypto/{loc}/latest/orderbooks", "Order books", market.LatestCryptoOrderbooks, SYMBOLS),
        _data("/v1beta3/crypto/{loc}/snapshots", "Snapshots", market.CryptoSnapshots, SYMBOLS),
    )
)
ACTIONS = (
    _data(
        "/v1/corporate-actions",
        "Corporate actions",
        market.CorporateActions,
        _q("symbols", Text),
        _q("types", Text, "forward_split, reverse_split, cash_dividend, cash_merger, stock_merger, name_change."),
        _q("start", Day),
        _q("end", Day),
        _q("ids", Text),
        *PAGE,
    ),
)

ENDPOINTS: tuple[Endpoint, ...] = (*ACCOUNT, *ORDERS, *POSITIONS, *REFERENCE, *STOCKS, *CRYPTO, *ACTIONS)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("^" + re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)) + "$")


class Paths:
    """Finds the endpoint that a request meant."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        # Literal paths before those with a place for a value: `/orders:by_client_order_id`, `/stocks/bars`.
        ordered = sorted(endpoints, key=lambda found: found.path.count("{"))
        self._matched = [(_pattern(each.path), each) for each in ordered]

    def find(self, method: str, path: str) -> Endpoint | None:
        """None where there is none."""
        matches = (each for pattern, each in self._matched if each.method == method and pattern.match(path))
        return next(matches, None)


_PATHS = Paths(ENDPOINTS)


def endpoint_of(method: str, path: str) -> Endpoint | None:
    """The endpoint that a request meant, None where Alpaca has none or papermarket does not have it."""
    return _PATHS.find(method, path)
