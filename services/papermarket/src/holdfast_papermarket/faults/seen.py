"""Prices as they are told, where they are not what the market does: frozen, no numbers, crossed."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from holdfast_exchange.exchange import Exchange
from holdfast_exchange.faults.commands import View
from holdfast_exchange.faults.disturbances import ToldOtherwise
from holdfast_exchange.recording import Bar, QuoteBar

NAN = Decimal("NaN")
BAR_PRICES = ("open", "high", "low", "close")
JSON_BAR, JSON_QUOTE, JSON_TRADE = ("o", "h", "l", "c", "vw"), ("bp", "ap"), ("p",)
CROSS = Decimal("0.01")
Row = Any


class SeenPrices:
    """What clients are told instead of the recording, on the stream and by REST. The exchange keeps the views."""

    def __init__(self, exchange: Exchange, now: Callable[[], datetime]) -> None:
        self._exchange = exchange
        self._now = now

    @property
    def clear(self) -> bool:
        """True where everything is told as it is."""
        told, now = self._exchange.disturbances.told, self._now()
        return not told or all(view.until <= now for view in told)

    def row(self, item: Row) -> Row:
        """A bar or a quote as it is told. Anything else is as it is."""
        if not isinstance(item, Bar | QuoteBar):
            return item
        told: Row = item
        for view in self._active(item.symbol, item.end):
            if view.view is View.FROZEN:
                kept = view.frozen.get(item.symbol, (None, None))[isinstance(item, QuoteBar)]
                if kept is not None:
                    told = replace(told, **{name: getattr(kept, name) for name in _price_names(kept)})
            elif view.view is View.NAN:
                told = replace(told, **dict.fromkeys(_price_names(told), NAN))
            elif isinstance(told, QuoteBar):
                told = replace(told, **{f"bid_{name}": getattr(told, f"ask_{name}") + CROSS for name in BAR_PRICES})
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
            if view.view is View.NAN:
                told |= {name: float("nan") for name in (*JSON_BAR, *JSON_QUOTE, *JSON_TRADE) if name in told}
            elif view.view is View.FROZEN:
                _freeze(told, *view.frozen.get(symbol, (None, None)))
            elif "bp" in told and "ap" in told:
                told["bp"] = round(float(told["ap"]) + float(CROSS), 4)

    def _active(self, symbol: str, at: datetime) -> list[ToldOtherwise]:
        now = self._now()
        return [view for view in self._exchange.disturbances.told if view.until > now and view.covers(symbol, at)]


def _freeze(told: dict[str, Any], bar: Bar | None, quote: QuoteBar | None) -> None:
    if bar is not None and "c" in told:
        told |= {"o": float(bar.open), "h": float(bar.high), "l": float(bar.low), "c": float(bar.close)}
    if quote is not None and "ap" in told:
        told |= {"bp": float(quote.bid_close), "ap": float(quote.ask_close)}
    if bar is not None and "p" in told:
        told["p"] = float(bar.close)


def _price_names(row: Row) -> list[str]:
    if isinstance(row, Bar):
        return list(BAR_PRICES)
    return [each.name for each in fields(row) if each.name.split("_")[0] in ("bid", "ask") and "size" not in each.name]
