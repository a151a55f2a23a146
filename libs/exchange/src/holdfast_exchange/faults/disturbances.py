"""What is out of order at the venue: halts, early closes, fills and orders held back, prices told otherwise."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from holdfast_exchange.faults.commands import ALL_SYMBOLS, View
from holdfast_exchange.orders import ZERO, NewOrder, Order
from holdfast_exchange.rows import Bar, QuoteBar


@dataclass(frozen=True, slots=True)
class ToldOtherwise:
    """Prices of one symbol (or ALL_SYMBOLS) that are told otherwise in [since, until)."""

    view: View
    symbol: str
    since: datetime
    until: datetime
    frozen: dict[str, tuple[Bar | None, QuoteBar | None]] = field(default_factory=dict)
    """By symbol: the bar and the quote that stand still."""

    def covers(self, symbol: str, at: datetime) -> bool:
        return self.symbol in (ALL_SYMBOLS, symbol) and self.since <= at < self.until


@dataclass(slots=True)
class Disturbances:
    """Each with the instant at which it ends by itself."""

    halts: dict[str, datetime] = field(default_factory=dict)
    """Halted symbols (or ALL_SYMBOLS) and until when."""
    caps: dict[str, tuple[Decimal, datetime]] = field(default_factory=dict)
    """By order: how much of it may fill, and until when that holds."""
    early_closes: dict[datetime, datetime] = field(default_factory=dict)
    """When sessions close instead, by their regular close."""
    late: list[tuple[datetime, NewOrder]] = field(default_factory=list)
    """Orders on their way, and when they arrive."""
    races: dict[str, Decimal] = field(default_factory=dict)
    """By order that is being cancelled: how much of it fills all the same."""
    told: list[ToldOtherwise] = field(default_factory=list)
    maintenance: tuple[datetime, Decimal] | None = None
    """Until when, and for how many seconds of the wall's time at most."""
    oversells: bool = False
    """True while a fill is booked that sells what is not held."""

    def halted(self, symbol: str, now: datetime) -> bool:
        """True where nothing of the symbol may fill."""
        return any(now < self.halts[name] for name in (symbol, ALL_SYMBOLS) if name in self.halts)

    def halts_at(self, now: datetime) -> dict[str, datetime]:
        """The halts that hold, by symbol, with their ends; the empty symbol stands for all."""
        return {"" if name == ALL_SYMBOLS else name: until for name, until in self.halts.items() if now < until}

    def room(self, order: Order, now: datetime) -> Decimal:
        """How much of an order may fill now, in shares."""
        most, until = self.caps.get(order.id, (order.quantity, now))
        return order.remaining if now >= until else max(ZERO, most - order.filled_quantity)
