"""Prices from before a split, told in present shares. What is recorded stays as it was."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from math import prod

ONE = Decimal(1)
DIGITS = Decimal("0.000000001")


@dataclass(slots=True)
class Restatements:
    """By symbol: until when prices are of old shares, and what they have to be multiplied with."""

    _factors: dict[str, list[tuple[datetime, Decimal]]] = field(default_factory=dict)

    def add(self, symbol: str, factor: Decimal, until: datetime) -> None:
        """Prices up to `until`, times `factor`, are of present shares."""
        self._factors.setdefault(symbol, []).append((until, factor))

    def price(self, symbol: str, price: Decimal, seen_at: datetime) -> Decimal:
        """A price of `seen_at` in present shares: nine decimals where it has been split."""
        return self.value(symbol, ONE, price, seen_at)

    def value(self, symbol: str, quantity: Decimal, price: Decimal, seen_at: datetime) -> Decimal:
        """`quantity` present shares at a price of `seen_at`: exact where the price alone would be rounded."""
        factors = [factor for until, factor in self._factors.get(symbol, ()) if seen_at <= until]
        if not factors:
            return quantity * price
        return (quantity * price * prod(factors, start=ONE)).quantize(DIGITS)
