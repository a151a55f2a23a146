"""Market data of a recording behind ports.venue.Feed: what the exchange's market shows, as it shows it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime

from holdfast_exchange import recording
from holdfast_exchange.lineage import under_one_name
from holdfast_exchange.market import Market
from holdfast_runtime.ports.venue import Bar, FeedEvent, Quote, StreamDown, StreamUp, Timeframe, Unreadable
from holdfast_simulation.world.market import told_bar

Find = Callable[[str, datetime, datetime], list[recording.Bar]]

MANY = 60
"""Instants that are left out at once: history is then cheaper than one bar after the other."""


class RecordedFeed:
    """The one data connection of a book. History and quotes are those that are visible now: nothing looks ahead."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._symbols: frozenset[str] = frozenset()
        self._events: asyncio.Queue[FeedEvent | StreamUp | StreamDown] | None = None
        self._sent = 0

    @property
    def sent(self) -> int | None:
        """Items sent on the connection (flow `data`); None where nobody listens."""
        return None if self._events is None else self._sent

    def publish(self) -> None:
        """Sends what has become visible last: quotes, then bars, each by symbol."""
        market, now = self._market, self._market.released
        self._send([*map(_told_quote, market.quotes_ending(now).values())])
        self._send([*map(told_bar, market.bars_ending(now).values())])

    def make_up(self, left_out: Sequence[datetime]) -> None:
        """Sends what became visible at instants at which nothing was published: every bar, and the newest quotes.

        After many of them, and where bars of one symbol would make those of another late, the connection ends and
        begins anew: its reader asks history, as after an outage.
        """
        if self._events is not None and (len(left_out) > MANY or len(self._symbols) > 1):
            self._events.put_nowait(StreamDown(reason="nothing happened"))
            self._events.put_nowait(StreamUp())
            self._sent = 0
            return
        quotes: dict[str, recording.QuoteBar] = {}
        for at in left_out:
            quotes |= self._market.quotes_ending(at)
            self._send([*map(told_bar, self._market.bars_ending(at).values())])
        self._send([*map(_told_quote, quotes.values())])

    def _send(self, items: Iterable[Quote | Bar]) -> None:
        if self._events is None:
            return
        for item in items:
            if item.symbol in self._symbols:
                self._sent += 1
                self._events.put_nowait(FeedEvent(item=item, position=self._sent))

    async def stream(self, symbols: tuple[str, ...]) -> AsyncIterator[FeedEvent | StreamUp | StreamDown | Unreadable]:
        """See ports.venue.Feed."""
        self._symbols = frozenset(symbols)
        self._events, self._sent = asyncio.Queue(), 0
        self._events.put_nowait(StreamUp())
        self.publish()
        while True:
            yield await self._events.get()

    async def bars(
        self, symbols: tuple[str, ...], timeframe: Timeframe, start: datetime, end: datetime
    ) -> dict[str, list[Bar]]:
        """See ports.venue.Feed."""
        find = {
            Timeframe.MINUTE: self._market.minute_bars,
            Timeframe.HOUR: self._market.hourly_bars,
            Timeframe.DAY: self._market.daily_bars,
        }[timeframe]
        return {symbol: [told_bar(bar) for bar in self._history(symbol, find, start, end)] for symbol in symbols}

    def _history(self, symbol: str, find: Find, start: datetime, end: datetime) -> list[recording.Bar]:
        """Under all names that the company had, as the venue answers."""
        today = recording.day_of(symbol, self._market.released)
        return under_one_name(self._market, lambda name: find(name, start, end), symbol, today)

    async def latest_quotes(self, symbols: tuple[str, ...]) -> dict[str, Quote]:
        """See ports.venue.Feed."""
        quotes = {symbol: self._market.last_quote(symbol) for symbol in symbols if symbol in self._market.symbols}
        return {symbol: _told_quote(quote) for symbol, quote in quotes.items() if quote is not None}


def _told_quote(quote: recording.QuoteBar) -> Quote:
    return Quote(
        symbol=quote.symbol,
        at=quote.end,
        bid=quote.bid_close,
        ask=quote.ask_close,
        bid_size=quote.bid_size,
        ask_size=quote.ask_size,
    )
