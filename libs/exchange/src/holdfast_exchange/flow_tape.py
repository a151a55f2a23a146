"""The options flow and the dark pool of one market up to its present time (FP-1.x).

Symbols whose option trades are recorded have those and no others; every other stock has generated ones.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

from holdfast_core.new_york import new_york_day
from holdfast_exchange.flow import DarkPrint, FlowAlert, generated_alert, generated_print, recorded_alert
from holdfast_exchange.market import Market
from holdfast_exchange.minute_tape import MinuteTape
from holdfast_exchange.recording import MINUTE, Bar, OptionBar

_Contract = tuple[str, date, str, date, Decimal]


class FlowTape:
    """Alerts and prints of a market; `seed` is for those that are generated."""

    def __init__(self, market: Market, seed: int) -> None:
        self._market = market
        self._seed = seed
        self._generated = MinuteTape(market, market.minute_bars, self._alerts_of, lambda alert: alert.created_at)
        self._recorded = MinuteTape(market, market.option_bars, self._recorded_of, lambda alert: alert.created_at)
        self._prints = MinuteTape(market, market.minute_bars, self._prints_of, lambda found: found.executed_at)
        self._shares: dict[str, tuple[date, Decimal]] = {}
        self._contracts: dict[_Contract, int] = {}

    @property
    def symbols(self) -> tuple[str, ...]:
        """Stocks that have a flow."""
        stocks = {symbol for symbol in self._market.symbols if "/" not in symbol}
        return tuple(sorted(stocks | set(self._market.underlyings)))

    def alerts(self, symbol: str) -> Sequence[FlowAlert]:
        """Visible alerts of one of `symbols`, oldest first."""
        tape = self._recorded if symbol in self._market.underlyings else self._generated
        return tape.items(symbol)

    def prints(self, symbol: str) -> Sequence[DarkPrint]:
        """Visible dark-pool prints of one of `symbols`, oldest first."""
        return self._prints.items(symbol) if symbol in self._market.symbols else ()

    def _alerts_of(self, bars: list[Bar]) -> list[FlowAlert]:
        found = (generated_alert(self._seed, bar) for bar in bars)
        return [alert for alert in found if alert is not None]

    def _prints_of(self, bars: list[Bar]) -> list[DarkPrint]:
        made = []
        for bar in bars:
            day = new_york_day(bar.start)
            known, volume = self._shares.get(bar.symbol, (day, Decimal(0)))
            volume = bar.volume + (volume if known == day else 0)
            self._shares[bar.symbol] = day, volume
            quotes = self._market.minute_quotes(bar.symbol, bar.start, bar.start + MINUTE)
            if (found := generated_print(self._seed, bar, quotes[-1] if quotes else None, volume)) is not None:
                made.append(found)
        return made

    def _recorded_of(self, bars: list[OptionBar]) -> list[FlowAlert]:
        found = (recorded_alert(bar, self._day_volume(bar), self._price_at(bar.underlying, bar.end)) for bar in bars)
        return [alert for alert in found if alert is not None]

    def _day_volume(self, bar: OptionBar) -> int:
        day = new_york_day(bar.start)
        contract = (bar.underlying, day, bar.right, bar.expiry, bar.strike)
        self._contracts[contract] = self._contracts.get(contract, 0) + int(bar.volume)
        return self._contracts[contract]

    def _price_at(self, symbol: str, at: datetime) -> Decimal | None:
        """The close of the underlying's minute that ended at `at`; None where no such minute is recorded."""
        bars = self._market.minute_bars(symbol, at - MINUTE, at) if symbol in self._market.symbols else []
        return bars[-1].close if bars else None
