"""What the data streams send: items of each channel, for stocks and for pairs (TS-3, TL-3, BS-10).

Every item counts on its connection (flow DATA), whatever its channel. The recording holds no corrections, no cancelled
trades, no price bands and no late trades: their channels may be subscribed to and stay silent.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from enum import StrEnum

from holdfast_exchange.history import zone_of
from holdfast_exchange.market import Market
from holdfast_exchange.recording import Bar, QuoteBar
from holdfast_papermarket.hubs import Connection

ALL_SYMBOLS = "*"


class Channel(StrEnum):
    """Alpaca's words, in the order in which one instant's items are sent."""

    STATUSES = "statuses"
    QUOTES = "quotes"
    ORDERBOOKS = "orderbooks"
    TRADES = "trades"
    BARS = "bars"
    DAILY_BARS = "dailyBars"
    UPDATED_BARS = "updatedBars"
    LULDS = "lulds"
    CORRECTIONS = "corrections"
    CANCEL_ERRORS = "cancelErrors"


class Feed(StrEnum):
    """An endpoint of the data streams."""

    STOCKS = "stocks"
    CRYPTO = "crypto"

    def has(self, symbol: str) -> bool:
        """True where the feed is the symbol's."""
        return ("/" in symbol) == (self is Feed.CRYPTO)


CHANNELS: Mapping[Feed, tuple[Channel, ...]] = {
    Feed.STOCKS: tuple(channel for channel in Channel if channel is not Channel.ORDERBOOKS),
    Feed.CRYPTO: (
        Channel.QUOTES,
        Channel.ORDERBOOKS,
        Channel.TRADES,
        Channel.BARS,
        Channel.DAILY_BARS,
        Channel.UPDATED_BARS,
    ),
}
WITH_TRADES = (Channel.CORRECTIONS, Channel.CANCEL_ERRORS)
"""Subscribed to together with trades, as Alpaca does."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Trading in a symbol stops, or goes on again."""

    symbol: str
    at: datetime
    halted: bool


@dataclass(frozen=True, slots=True)
class DataItem:
    """One item of one channel."""

    channel: Channel
    row: Bar | QuoteBar | Halt

    @property
    def symbol(self) -> str:
        return self.row.symbol


def items_at(market: Market, feed: Feed, channels: Collection[Channel]) -> list[DataItem]:
    """What became visible last in the market, of these channels: channel by channel, each by symbol."""
    if not channels:
        return []
    bars = [bar for bar in market.bars_ending(market.released).values() if feed.has(bar.symbol)]
    quotes = [quote for quote in market.quotes_ending(market.released).values() if feed.has(quote.symbol)]
    made: list[DataItem] = []
    for channel in (Channel.QUOTES, Channel.ORDERBOOKS):
        if channel in channels:
            made += [DataItem(channel, quote) for quote in quotes]
    if Channel.TRADES in channels:
        # The last trade of the finest bar that is recorded: of a second, a minute, an hour or a day.
        trading = market.trading_bars_ending(market.released).values()
        made += [DataItem(Channel.TRADES, bar) for bar in trading if feed.has(bar.symbol)]
    if Channel.BARS in channels:
        made += [DataItem(Channel.BARS, bar) for bar in bars]
    if Channel.DAILY_BARS in channels:
        made += [DataItem(Channel.DAILY_BARS, day) for bar in bars if (day := _day_so_far(market, bar.symbol))]
    return made


def halts_between(
    before: Mapping[str, datetime], after: Mapping[str, datetime], at: datetime, symbols: Iterable[str]
) -> list[DataItem]:
    """What has changed of the halted symbols; the empty symbol stands for all of `symbols`."""
    return [
        DataItem(Channel.STATUSES, Halt(symbol, at, _is_halted(after, symbol)))
        for symbol in sorted(symbols)
        if _is_halted(before, symbol) != _is_halted(after, symbol)
    ]


def statuses_of(
    ever: Collection[str], halted: Mapping[str, datetime], at: datetime, symbols: Iterable[str]
) -> list[DataItem]:
    """The present status of each of `symbols` that was ever halted; `ALL_SYMBOLS` or the empty one stands for all."""
    everything = not {"", ALL_SYMBOLS}.isdisjoint(ever)
    return [
        DataItem(Channel.STATUSES, Halt(symbol, at, _is_halted(halted, symbol)))
        for symbol in sorted(symbols)
        if everything or symbol in ever
    ]


def _is_halted(of: Mapping[str, datetime], symbol: str) -> bool:
    return symbol in of or "" in of


def key(channel: Channel, symbol: str) -> str:
    """A subscription as a connection keeps it: `quotes:SPY`, `bars:*` …"""
    return f"{channel}:{symbol}"


def wants(connection: Connection[DataItem], item: DataItem) -> bool:
    """True where the connection has subscribed to the item's channel and symbol."""
    return not connection.symbols.isdisjoint((key(item.channel, item.symbol), key(item.channel, ALL_SYMBOLS)))


def channels_of(connections: Iterable[Connection[DataItem]]) -> set[Channel]:
    """Every channel that any of them has subscribed to."""
    return {Channel(each.partition(":")[0]) for connection in connections for each in connection.symbols}


def _day_so_far(market: Market, symbol: str) -> Bar | None:
    day = market.day_so_far(symbol)
    if day is None:
        return None
    local = day.start.astimezone(zone_of(symbol))
    return replace(day, start=datetime.combine(local.date(), time.min, local.tzinfo).astimezone(UTC))
