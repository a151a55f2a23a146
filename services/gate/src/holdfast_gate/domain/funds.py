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

    equity: Decimal
    cash: Decimal
    invested: Decimal

    @classmethod
    def of(cls, ledger: LedgerView, prices: Mapping[str, Price]) -> Self:
        """Positions count at their last price, however old: the best that is known of them."""
        held = sum((_value(each, prices.get(each.symbol)) for each in ledger.holdings.values()), ZERO)
        return cls(
            equity=ledger.cash + held,
            cash=ledger.cash - ledger.reserved,
            invested=abs(held) + ledger.reserved,
        )


def _value(holding: Holding, price: Price | None) -> Decimal:
    """At the last bar, else the bid, else what was paid."""
    known = (price.last or price.bid) if price is not None else None
    return holding.quantity * (known or holding.average_price)
