"""What the account is worth and what is free of it, at the prices of one instant."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from holdfast_core.money import ZERO
from holdfast_gate.domain.ledger import Holding, LedgerView
from holdfast_gate.domain.market import Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Funds:
    """Dollars. `cash` is settled and not reserved; `invested` is what is held and what open entries may add."""

    value: Decimal
    """Cash and all that is held, at the last prices."""
    equity: Decimal
    cash: Decimal
    invested: Decimal

    @classmethod
    def of(cls, ledger: LedgerView, prices: Mapping[str, Price]) -> Self:
        """Positions count as worth the lower, and as invested the higher of their cost and their last price: a gain on
        paper buys nothing, a loss on paper is believed. Execution enforces the same bound at cost."""
        held = worth = invested = ZERO
        for holding in ledger.holdings.values():
            cost = holding.quantity * holding.average_price
            value = holding.quantity * _last_price(holding, prices.get(holding.symbol))
            held += value
            worth += min(cost, value)
            invested += max(abs(cost), abs(value))
        return cls(
            value=ledger.cash + held,
            equity=ledger.cash + worth,
            cash=ledger.cash - ledger.reserved,
            invested=invested + ledger.reserved,
        )


def _last_price(holding: Holding, price: Price | None) -> Decimal:
    """Of the last bar, however old, else the bid, else what was paid: the best that is known."""
    known = (price.last or price.bid) if price is not None else None
    return known or holding.average_price
