"""The Market Data API's answers, and the items of its streams."""

from typing import Annotated, Literal

from pydantic import Field

from holdfast_papermarket.published.kinds import Count, Day, Identity, Instant, Number, Published, Tape, Text

PageToken = str | None


class StockBar(Published):
    t: Instant
    o: Number
    h: Number
    l: Number  # noqa: E741 - Alpaca's letter
    c: Number
    v: Count
    n: Count
    vw: Number


class CryptoBar(StockBar):
    v: Number  # type: ignore[assignment]  # coins come in parts


class StockQuote(Published):
    t: Instant
    ax: str
    ap: Number
    as_: Count = Field(alias="as")
    bx: str
    bp: Number
    bs: Count
    c: list[str]
    z: Tape


class CryptoQuote(Published):
    t: Instant
    ap: Number
    as_: Number = Field(alias="as")
    bp: Number
    bs: Number


class StockTrade(Published):
    t: Instant
    x: str
    p: Number
    s: Count
    c: list[str]
    i: Count
    z: Tape
    u: str | None = None
    """Only on a trade that was cancelled or corrected."""


class CryptoTrade(Published):
    t: Instant
    p: Number
    s: Number
    i: int
    tks: Literal["B", "S", "-", ""]


class BookEntry(Published):
    p: Number
    s: Number


class CryptoOrderbook(Published):
    t: Instant
    a: list[BookEntry]
    b: list[BookEntry]


class StockSnapshot(Published):
    """An absent part is absent or null."""

    latestTrade: StockTrade | None = None  # noqa: N815 - Alpaca's names
    latestQuote: StockQuote | None = None  # noqa: N815
    minuteBar: StockBar | None = None  # noqa: N815
    dailyBar: StockBar | None = None  # noqa: N815
    prevDailyBar: StockBar | None = None  # noqa: N815


class StockSnapshotOfOne(StockSnapshot):
    symbol: Text
    currency: str | None = None


class CryptoSnapshot(Published):
    latestTrade: CryptoTrade | None = None  # noqa: N815
    latestQuote: CryptoQuote | None = None  # noqa: N815
    minuteBar: CryptoBar | None = None  # noqa: N815
    dailyBar: CryptoBar | None = None  # noqa: N815
    prevDailyBar: CryptoBar | None = None  # noqa: N815


class _Page(Published):
    next_page_token: PageToken
    currency: str | None = None


class StockBars(_Page):
    bars: dict[str, list[StockBar]]


class StockQuotes(_Page):
    quotes: dict[str, list[StockQuote]]


class StockTrades(_Page):
    trades: dict[str, list[StockTrade]]


class StockBarsOfOne(_Page):
    symbol: Text
    bars: list[StockBar]


class StockQuotesOfOne(_Page):
    symbol: Text
    quotes: list[StockQuote]


class StockTradesOfOne(_Page):
    symbol: Text
    trades: list[StockTrade]


class _Latest(Published):
    currency: str | None = None


class LatestStockBars(_Latest):
    bars: dict[str, StockBar]


class LatestStockQuotes(_Latest):
    quotes: dict[str, StockQuote]


class LatestStockTrades(_Latest):
    trades: dict[str, StockTrade]


class LatestStockBar(_Latest):
    symbol: Text
    bar: StockBar


class LatestStockQuote(_Latest):
    symbol: Text
    quote: StockQuote


class LatestStockTrade(_Latest):
    symbol: Text
    trade: StockTrade


StockSnapshots = dict[str, StockSnapshot]
Names = dict[str, str]
"""Codes of exchanges or conditions, and what they mean."""


class CryptoBars(Published):
    bars: dict[str, list[CryptoBar]]
    next_page_token: PageToken


class CryptoQuotes(Published):
    quotes: dict[str, list[CryptoQuote]]
    next_page_token: PageToken


class CryptoTrades(Published):
    trades: dict[str, list[CryptoTrade]]
    next_page_token: PageToken


class LatestCryptoBars(Published):
    bars: dict[str, CryptoBar]


class LatestCryptoQuotes(Published):
    quotes: dict[str, CryptoQuote]


class LatestCryptoTrades(Published):
    trades: dict[str, CryptoTrade]


class LatestCryptoOrderbooks(Published):
    orderbooks: dict[str, CryptoOrderbook]


class CryptoSnapshots(Published):
    snapshots: dict[str, CryptoSnapshot]


class _Action(Published):
    id: Identity
    process_date: Day
    payable_date: Day | None = None
    record_date: Day | None = None


class ForwardSplit(_Action):
    symbol: Text
    cusip: str
    old_rate: Number
    new_rate: Number
    ex_date: Day
    due_bill_redemption_date: Day | None = None


class ReverseSplit(_Action):
    symbol: Text
    old_cusip: str
    new_cusip: str
    new_symbol: str | None = None
    old_rate: Number
    new_rate: Number
    ex_date: Day


class CashDividend(_Action):
    symbol: Text
    cusip: str
    rate: Number
    special: bool
    foreign: bool
    ex_date: Day


class CashMerger(_Action):
    acquiree_symbol: Text
    acquiree_cusip: str
    acquirer_symbol: str | None = None
    acquirer_cusip: str | None = None
    rate: Number
    effective_date: Day


class StockMerger(_Action):
    acquiree_symbol: Text
    acquiree_cusip: str
    acquiree_rate: Number
    acquirer_symbol: Text
    acquirer_cusip: str
    acquirer_rate: Number
    effective_date: Day


class StockAndCashMerger(StockMerger):
    cash_rate: Number


class SpinOff(_Action):
    source_symbol: Text
    source_cusip: str
    source_rate: Number
    new_symbol: Text
    new_cusip: str
    new_rate: Number
    ex_date: Day


class NameChange(_Action):
    old_symbol: Text
    old_cusip: str
    new_symbol: Text
    new_cusip: str


class CorporateActionsByKind(Published):
    forward_splits: list[ForwardSplit] = Field(default_factory=list)
    reverse_splits: list[ReverseSplit] = Field(default_factory=list)
    cash_dividends: list[CashDividend] = Field(default_factory=list)
    cash_mergers: list[CashMerger] = Field(default_factory=list)
    stock_mergers: list[StockMerger] = Field(default_factory=list)
    stock_and_cash_mergers: list[StockAndCashMerger] = Field(default_factory=list)
    spin_offs: list[SpinOff] = Field(default_factory=list)
    name_changes: list[NameChange] = Field(default_factory=list)


class CorporateActions(Published):
    corporate_actions: CorporateActionsByKind
    next_page_token: PageToken


# The streams: each frame is an array; instants are RFC 3339 in JSON and an extension type in msgpack.


class Success(Published):
    T: Literal["success"]
    msg: Literal["connected", "authenticated"]


class StreamError(Published):
    """The codes and words are Alpaca's own."""

    T: Literal["error"]
    code: Literal[400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 500]
    msg: Text


class Subscription(Published):
    """Every channel of the connection with its symbols."""

    T: Literal["subscription"]
    trades: list[str]
    quotes: list[str]
    bars: list[str]
    updatedBars: list[str] | None = None  # noqa: N815 - Alpaca's names
    dailyBars: list[str] | None = None  # noqa: N815
    statuses: list[str] | None = None
    lulds: list[str] | None = None
    imbalances: list[str] | None = None
    corrections: list[str] | None = None
    cancelErrors: list[str] | None = None  # noqa: N815
    orderbooks: list[str] | None = None


class BarItem(StockBar):
    T: Literal["b", "u", "d"]
    S: Text


class QuoteItem(StockQuote):
    T: Literal["q"]
    S: Text


class TradeItem(StockTrade):
    T: Literal["t"]
    S: Text


class StatusItem(Published):
    """A halt or its end."""

    T: Literal["s"]
    S: Text
    sc: str
    sm: str
    rc: str
    rm: str
    t: Instant
    z: Tape


class CryptoBarItem(CryptoBar):
    T: Literal["b", "u", "d"]
    S: Text


class CryptoQuoteItem(CryptoQuote):
    T: Literal["q"]
    S: Text


class CryptoTradeItem(CryptoTrade):
    T: Literal["t"]
    S: Text


class CryptoOrderbookItem(CryptoOrderbook):
    T: Literal["o"]
    S: Text
    r: bool | None = None
    """True where it replaces the whole book."""


class OtherItem(Published):
    """What the replayed data never has: price bands, corrections, cancelled trades."""

    T: Literal["l", "c", "x", "n"]
    S: str | None = None


StockFrame = list[
    Annotated[
        Success | StreamError | Subscription | BarItem | QuoteItem | TradeItem | StatusItem | OtherItem,
        Field(discriminator="T"),
    ]
]
CryptoFrame = list[
    Annotated[
        Success | StreamError | Subscription | CryptoBarItem | CryptoQuoteItem | CryptoTradeItem | CryptoOrderbookItem,
        Field(discriminator="T"),
    ]
]
