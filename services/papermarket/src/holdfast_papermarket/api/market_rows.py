"""The rows behind the market-data endpoints of stocks and pairs alike: history, newest, snapshots."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar

from holdfast_exchange.adjustments import Adjustment
from holdfast_exchange.history import RAW, BarHistory, zone_of
from holdfast_exchange.lineage import under_one_name
from holdfast_exchange.market import Market
from holdfast_exchange.recording import Bar, QuoteBar
from holdfast_exchange.timeframes import Timeframe, Unit
from holdfast_papermarket import market_json
from holdfast_papermarket.api.data_queries import EARLIEST, Rows

Json = dict[str, Any]
Row = TypeVar("Row", Bar, QuoteBar)
_DAILY = Timeframe(1, Unit.DAY)
_LONGEST_ROW = timedelta(days=1)
_RECENT = timedelta(days=30)


class MarketRows:
    """What one market shows at its present time, found and shown."""

    def __init__(self, market: Market, history: BarHistory) -> None:
        self.market = market
        self.history = history

    def bars(
        self, timeframe: Timeframe, adjustment: frozenset[Adjustment] = RAW, asof: date | None = None
    ) -> Rows[Bar]:
        """Stamped with their start."""
        return Rows(
            lambda symbol, start, end: self.history.bars(symbol, timeframe, start, end, adjustment, asof),
            lambda bar: bar.start,
            market_json.bar,
        )

    def quotes(self, asof: date | None = None) -> Rows[QuoteBar]:
        """The market at the end of each recorded interval, and stamped with it."""
        return Rows(self._ending(self.market.minute_quotes, asof), _end, market_json.quote)

    def trades(self, asof: date | None = None) -> Rows[Bar]:
        """The last trade of each interval of the finest rows recorded, stamped with the interval's end."""
        return Rows(self._ending(self.market.trading_bars, asof), _end, market_json.trade)

    def latest_bar(self, symbol: str) -> Bar | None:
        """The newest bar of a minute."""
        return self.market.last_bar(symbol)

    def latest_quote(self, symbol: str) -> QuoteBar | None:
        return self.market.last_quote(symbol)

    def latest_trade(self, symbol: str) -> Bar | None:
        """The newest row with a trade: the finest recorded, or a day's before those begin."""
        finest = self.market.last_trading_bar(symbol)
        daily = self._newest_days(symbol, self.market.released, 1) if finest is None else []
        return daily[-1] if daily else finest

    def snapshot(self, symbol: str) -> Json:
        """Every part; null where nothing is known yet. The day under way is made of its visible minutes."""
        bar, quote, trade = self.latest_bar(symbol), self.latest_quote(symbol), self.latest_trade(symbol)
        day = self.market.day_so_far(symbol)
        today, shown_day = self.market.released, None
        if day is not None:
            local = day.start.astimezone(zone_of(symbol))
            today = datetime.combine(local.date(), time.min, local.tzinfo).astimezone(UTC)
            shown_day = market_json.bar(day) | {"t": market_json.iso(today)}
        before = self._newest_days(symbol, today - timedelta(microseconds=1), 2)
        if shown_day is None and before:
            shown_day = market_json.bar(before.pop())
        return {
            "latestTrade": None if trade is None else market_json.trade(trade),
            "latestQuote": None if quote is None else market_json.quote(quote),
            "minuteBar": None if bar is None else market_json.bar(bar),
            "dailyBar": shown_day,
            "prevDailyBar": market_json.bar(before[-1]) if before else None,
        }

    def _newest_days(self, symbol: str, end: datetime, count: int) -> list[Bar]:
        """The newest daily bars that start up to `end`, `count` of them or more, or all there are, oldest first."""
        for start in (end - _RECENT, EARLIEST):
            if len(found := self.history.bars(symbol, _DAILY, start, end)) >= count:
                break
        return found

    def _ending(
        self, find: Callable[[str, datetime, datetime], list[Row]], asof: date | None
    ) -> Callable[[str, datetime, datetime], list[Row]]:
        def found(symbol: str, start: datetime, end: datetime) -> list[Row]:
            def of(name: str) -> list[Row]:
                return [row for row in find(name, start - _LONGEST_ROW, end) if start <= row.end <= end]

            return under_one_name(self.market, of, symbol, asof)

        return found


def _end(row: Bar | QuoteBar) -> datetime:
    return row.end
