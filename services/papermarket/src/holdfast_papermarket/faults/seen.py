"""Prices as they are told, where they are not what the market does: frozen, no numbers, crossed."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from holdfast_exchange.faults.base import Fault
from holdfast_exchange.faults.market import PriceFrozen, PriceNan, QuoteCrossed
from holdfast_exchange.recording import Bar, QuoteBar

NAN = Decimal("NaN")
BAR_PRICES = ("open", "high", "low", "close")
JSON_BAR, JSON_QUOTE, JSON_TRADE = ("o", "h", "l", "c", "vw"), ("bp", "ap"), ("p",)
CROSS = Decimal("0.01")
Row = Any


@dataclass(slots=True)
class _View:
    fault: Fault
    since: datetime
    until: datetime

    def covers(self, symbol: str, at: datetime) -> bool:
        return self.fault.scope.symbol in (None, symbol) and self.since <= at < self.until


class SeenPrices:
    """What clients are told instead of the recording, on the stream and by REST."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._views: list[_View] = []
        self._frozen: dict[tuple[str, type], Row] = {}

    @property
    def clear(self) -> bool:
        """True where everything is told as it is."""
        return not self._views

    def begin(self, fault: Fault, at: datetime) -> bool:
        """Begins to tell something else from `at` on. False where `fault` is not of this sort."""
        if not isinstance(fault, PriceFrozen | PriceNan | QuoteCrossed):
            return False
        self._views.append(_View(fault, at, at + timedelta(seconds=fault.secs)))
        return True

    def row(self, item: Row) -> Row:
        """A bar or a quote as it is told. Anything else is as it is."""
        if not isinstance(item, Bar | QuoteBar):
            return item
        told: Row = item
        frozen = False
        for view in self._active(item.symbol, item.end):
            if isinstance(view.fault, PriceFrozen):
                frozen = True
                kept = self._frozen.setdefault((item.symbol, type(item)), item)
                told = replace(kept, start=item.start, end=item.end)
            elif isinstance(view.fault, PriceNan):
                told = replace(told, **dict.fromkeys(_price_names(told), NAN))
            elif isinstance(told, QuoteBar):
                names = ("open", "high", "low", "close")
                told = replace(told, **{f"bid_{n}": getattr(told, f"ask_{n}") + CROSS for n in names})
        if not frozen:
            self._frozen.pop((item.symbol, type(item)), None)
        return told

    def answer(self, tree: Any) -> None:
        """Changes the newest prices in an answer of the market-data REST, in place."""
        self._walk(tree, "")

    def _walk(self, tree: Any, symbol: str) -> None:
        if isinstance(tree, list):
            for each in tree:
                self._walk(each, symbol)
            return
        if not isinstance(tree, dict):
            return
        symbol = str(tree.get("symbol") or symbol)
        if "t" in tree:
            self._spoil(tree, symbol)
        for key, value in tree.items():
            if isinstance(value, dict | list):
                self._walk(value, key if key.isupper() else symbol)

    def _spoil(self, told: dict[str, Any], symbol: str) -> None:
        now = self._now()
        for view in self._active(symbol, now):
            # What was told before it began stays as it was.
            if str(told["t"]) < (view.since - timedelta(minutes=1)).isoformat().replace("+00:00", "Z"):
                continue
            if isinstance(view.fault, PriceNan):
                told |= {name: float("nan") for name in (*JSON_BAR, *JSON_QUOTE, *JSON_TRADE) if name in told}
            elif isinstance(view.fault, QuoteCrossed) and "bp" in told and "ap" in told:
                told["bp"] = round(float(told["ap"]) + float(CROSS), 4)
            elif isinstance(view.fault, PriceFrozen):
                self._freeze(told, symbol)

    def _freeze(self, told: dict[str, Any], symbol: str) -> None:
        bar, quote = self._frozen.get((symbol, Bar)), self._frozen.get((symbol, QuoteBar))
        if bar is not None and "c" in told:
            told |= {"o": float(bar.open), "h": float(bar.high), "l": float(bar.low), "c": float(bar.close)}
        if quote is not None and "ap" in told:
            told |= {"bp": float(quote.bid_close), "ap": float(quote.ask_close)}
        if bar is not None and "p" in told:
            told["p"] = float(bar.close)

    def _active(self, symbol: str, at: datetime) -> list[_View]:
        self._views = [view for view in self._views if view.until > self._now()]
        return [view for view in self._views if view.covers(symbol, at)]


def _price_names(row: Row) -> list[str]:
    if isinstance(row, Bar):
        return list(BAR_PRICES)
    return [each.name for each in fields(row) if each.name.split("_")[0] in ("bid", "ask") and "size" not in each.name]
