"""What is known of a symbol's price, and whether it may still be used."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from holdfast_core.money import ZERO
from holdfast_gate.domain.rules import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The newest quote and bar of a symbol. None: never seen. Prices in dollars, times of the market."""

    symbol: str
    bid: Decimal | None
    ask: Decimal | None
    quote_at: datetime | None
    last: Decimal | None
    bar_at: datetime | None
    """End of the last bar."""
    bar_interval: timedelta
    connected: bool
    halted: bool

    @property
    def as_of(self) -> datetime | None:
        """Time of the newest thing known."""
        if self.quote_at is None or self.bar_at is None:
            return self.quote_at or self.bar_at
        return max(self.quote_at, self.bar_at)


@dataclass(frozen=True, slots=True)
class Basis:
    """The price that an entry is measured by: `source` is `quote` (its ask) or `bar` (its close)."""

    price: Decimal
    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Sides:
    """What a sale brings and a purchase costs, in dollars. Of a bar both are its close."""

    bid: Decimal
    ask: Decimal
    apart: Decimal
    """How far the fresh prices lie apart, as a fraction of the ask: the two of the quote, and the bar's close."""


def basis_of(price: Price, now: datetime, rules: Rules) -> Basis | None:
    """A fresh quote's ask, else a fresh bar's close, else None: nothing is guessed (order protocol, freshness)."""
    quote_limit = max(rules.quote_stale, rules.min_stale)
    if (
        price.ask is not None
        and price.ask > 0
        and price.quote_at is not None
        and _fresh(price.quote_at, now, quote_limit)
    ):
        return Basis(price.ask, "quote", price.quote_at)
    bar_limit = max(price.bar_interval + rules.bar_grace, rules.min_stale)
    if price.last is not None and price.last > 0 and price.bar_at is not None and _fresh(price.bar_at, now, bar_limit):
        return Basis(price.last, "bar", price.bar_at)
    return None


def sides_of(price: Price, now: datetime, rules: Rules) -> Sides | None:
    """Both sides of the price that `basis_of` finds, the lower one as the bid; a quote without one bids nothing."""
    basis = basis_of(price, now, rules)
    if basis is None:
        return None
    quoted = basis.source == "quote"
    bid = min(price.bid or ZERO, basis.price) if quoted else basis.price
    known = [price.bid or ZERO, basis.price] if quoted else [basis.price]
    bar = basis_of(replace(price, ask=None), now, rules)
    known += [bar.price] if bar is not None else []
    return Sides(bid, basis.price, (max(known) - min(known)) / basis.price)


def _fresh(at: datetime, now: datetime, limit: timedelta) -> bool:
    # From the future by as much is as wrong as from the past: one of the two clocks is broken.
    return -limit <= now - at <= limit
