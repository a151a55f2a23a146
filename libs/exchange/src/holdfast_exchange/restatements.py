"""Prices from before a split, told in the shares after it. What is recorded stays as it was."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from math import prod

ONE = Decimal(1)
DIGITS = Decimal("0.000000001")


@dataclass(frozen=True, slots=True)
class _Split:
    until: datetime
    """Prices up to then are of old shares."""
    since: datetime
    """From then on positions are of new ones."""
    factor: Decimal


@dataclass(slots=True)
class Restatements:
    """The splits that have taken effect, by symbol."""

    _splits: dict[str, list[_Split]] = field(default_factory=dict)

    def add(self, symbol: str, factor: Decimal, until: datetime, since: datetime | None = None) -> None:
        """From `since` (None: `until`) on, a price up to `until` has to be multiplied with `factor`."""
        self._splits.setdefault(symbol, []).append(_Split(until, since or until, factor))

    def price(self, symbol: str, price: Decimal, seen_at: datetime) -> Decimal:
        """A price of `seen_at` in present shares: nine decimals where it has been split."""
        return self.value(symbol, ONE, price, seen_at)

    def value(
        self, symbol: str, quantity: Decimal, price: Decimal, seen_at: datetime, as_of: datetime | None = None
    ) -> Decimal:
        """`quantity` shares of `as_of` (None: now) at a price of `seen_at`, in dollars.

        Exact to nine decimals, where the split price alone would be rounded.
        """
        factors = [
            split.factor
            for split in self._splits.get(symbol, ())
            if seen_at <= split.until and (as_of is None or split.since <= as_of)
        ]
        if not factors:
            return quantity * price
        return (quantity * price * prod(factors, start=ONE)).quantize(DIGITS)
