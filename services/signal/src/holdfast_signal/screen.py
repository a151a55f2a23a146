"""Which market data is believed: everything else is quarantined with its reason, never dropped, never traded.

Catches the wrong symbol, numbers that are none, impossible prices, and a price of another magnitude: another
currency or unit (TL-1, BS-8).
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from holdfast_runtime.ports.venue import Bar, Quote, TradingStatus

AHEAD = timedelta(seconds=5)
"""How far a datum may lie ahead of market time: clocks of two machines differ."""


class Priced(Protocol):
    """What every bar has: prices and shares over [start, end)."""

    @property
    def symbol(self) -> str: ...
    @property
    def start(self) -> datetime: ...
    @property
    def end(self) -> datetime: ...
    @property
    def open(self) -> Decimal: ...
    @property
    def high(self) -> Decimal: ...
    @property
    def low(self) -> Decimal: ...
    @property
    def close(self) -> Decimal: ...
    @property
    def volume(self) -> Decimal: ...


def fault_within(bar: Priced) -> str | None:
    """Coded reason why a bar contradicts itself; None where it does not."""
    if not (
        bar.open.is_finite()
        and bar.high.is_finite()
        and bar.low.is_finite()
        and bar.close.is_finite()
        and bar.volume.is_finite()
    ):
        return f"NUMBER_MISSING: {bar.symbol} has a value that is not a number"
    if min(bar.open, bar.high, bar.low, bar.close) <= 0 or bar.volume < 0:
        return f"PRICE_IMPOSSIBLE: {bar.symbol} low={bar.low} volume={bar.volume}"
    if not bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
        return f"BAR_INCOHERENT: {bar.symbol} open={bar.open} high={bar.high} low={bar.low} close={bar.close}"
    if bar.end <= bar.start:
        return f"TIME_WRONG: {bar.symbol} start={bar.start} end={bar.end}"
    return None


class Screen:
    """Remembers the last believed close of each symbol: what a price is compared with."""

    def __init__(self, symbols: Iterable[str], *, max_move: Decimal) -> None:
        self._symbols = frozenset(symbols)
        self._max_move = max_move
        self._last: dict[str, Decimal] = {}

    def fault(self, item: Bar | Quote | TradingStatus, now: datetime) -> str | None:
        """Coded reason why `item` is not believed, with its numbers; None where it is, and it is remembered then."""
        if item.symbol not in self._symbols:
            return f"SYMBOL_WRONG: {item.symbol!r} was not asked for"
        if isinstance(item, TradingStatus):
            return None
        fault = self._bar_fault(item, now) if isinstance(item, Bar) else self._quote_fault(item, now)
        if fault is None and isinstance(item, Bar):
            self._last[item.symbol] = item.close
        return fault

    def _bar_fault(self, bar: Bar, now: datetime) -> str | None:
        if (fault := fault_within(bar)) is not None:
            return fault
        if bar.end > now + AHEAD:
            return f"TIME_WRONG: {bar.symbol} start={bar.start} end={bar.end} now={now}"
        return self._move_fault(bar.symbol, bar.close)

    def _quote_fault(self, quote: Quote, now: datetime) -> str | None:
        if not (quote.bid.is_finite() and quote.ask.is_finite()):
            return f"NUMBER_MISSING: {quote.symbol} has a value that is not a number"
        if quote.bid <= 0 or quote.ask <= 0:
            return f"PRICE_IMPOSSIBLE: {quote.symbol} bid={quote.bid} ask={quote.ask}"
        if quote.bid > quote.ask:
            return f"QUOTE_CROSSED: {quote.symbol} bid={quote.bid} ask={quote.ask}"
        if quote.at > now + AHEAD:
            return f"TIME_WRONG: {quote.symbol} at={quote.at} now={now}"
        return self._move_fault(quote.symbol, (quote.bid + quote.ask) / 2)

    def _move_fault(self, symbol: str, price: Decimal) -> str | None:
        last = self._last.get(symbol)
        if last is not None and max(price / last, last / price) >= self._max_move:
            return f"PRICE_MAGNITUDE: {symbol} price={price} last={last}"
        return None
