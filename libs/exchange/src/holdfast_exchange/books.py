"""The account's books: cash, positions at average cost, realised profit, fills (BR-1, DI-6).

Conservation, after every fill: cash + cost of all positions = starting cash + realised profit, to the last digit.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from holdfast_exchange.orders import AVERAGE_DIGITS, ZERO, Fill, Side


class Oversold(AssertionError):
    """A sale of more than is held reached the books: the admission rules have a hole."""


@dataclass(slots=True)
class Position:
    """Shares held in one symbol and what they cost together, in dollars. Long only."""

    symbol: str
    quantity: Decimal = ZERO
    cost: Decimal = ZERO

    @property
    def average_price(self) -> Decimal:
        return (self.cost / self.quantity).quantize(AVERAGE_DIGITS) if self.quantity else ZERO


@dataclass(slots=True)
class Books:
    """Everything that fills have changed."""

    starting_cash: Decimal
    cash: Decimal
    positions: dict[str, Position] = field(default_factory=dict)
    realised: dict[str, Decimal] = field(default_factory=dict)
    """Profit of closed shares by symbol, in dollars."""
    fills: list[Fill] = field(default_factory=list)

    @classmethod
    def opened(cls, starting_cash: Decimal) -> "Books":
        return cls(starting_cash, starting_cash)

    def held(self, symbol: str) -> Decimal:
        """Shares held; zero without a position."""
        position = self.positions.get(symbol)
        return position.quantity if position else ZERO

    @property
    def realised_total(self) -> Decimal:
        return sum(self.realised.values(), ZERO)

    def apply(self, fill: Fill) -> None:
        """Books one execution. Raises Oversold where it sells what is not held."""
        position = self.positions.setdefault(fill.symbol, Position(fill.symbol))
        value = fill.price * fill.quantity
        if fill.side is Side.BUY:
            position.quantity += fill.quantity
            position.cost += value
            self.cash -= value
        else:
            if fill.quantity > position.quantity:
                raise Oversold(f"{fill.quantity} {fill.symbol} sold of {position.quantity} held")
            # Rounded once, so that what leaves the cost is exactly what the profit is reckoned from.
            sold_out = fill.quantity == position.quantity
            share = position.cost * fill.quantity / position.quantity
            removed = position.cost if sold_out else share.quantize(AVERAGE_DIGITS)
            position.quantity -= fill.quantity
            position.cost -= removed
            self.cash += value
            self.realised[fill.symbol] = self.realised.get(fill.symbol, ZERO) + value - removed
            if sold_out:
                del self.positions[fill.symbol]
        self.fills.append(fill)
