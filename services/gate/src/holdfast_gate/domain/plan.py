"""What brings a rebalanced strategy's holdings to its targets, at the prices of one instant (SY-2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Self

from holdfast_core.instruments import lot_of
from holdfast_core.money import ZERO
from holdfast_core.portfolio import Line, Policy, Trade, rebalance
from holdfast_gate.domain.funds import Funds
from holdfast_gate.domain.ledger import LedgerView
from holdfast_gate.domain.market import Price, Sides, sides_of
from holdfast_gate.domain.rules import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The trades of one cycle, by symbol.

    A symbol without a fresh price, halted by its exchange, of another owner, or whose prices lie further apart than the
    collar has no line: a sale leaves at market, and nobody looks at its price again."""

    policy: Policy
    lines: Mapping[str, Line]
    apart: Mapping[str, Sides]
    """Prices of what has no line for that reason."""
    sales: Mapping[str, Trade]
    purchases: Mapping[str, Trade]
    selling: tuple[str, ...]
    """Symbols that the strategy sells now: their proceeds are not there yet."""
    value: Decimal
    """Dollars that the account is worth."""
    cash: Decimal

    @classmethod
    def of(
        cls,
        policy: Policy,
        targets: Mapping[str, Decimal],
        *,
        strategy: str,
        ledger: LedgerView,
        prices: Mapping[str, Price],
        funds: Funds,
        now: datetime,
        rules: Rules,
    ) -> Self:
        """`targets`: weight of each symbol, of the account's value less the buffer."""
        lines, apart = {}, {}
        for symbol, weight in targets.items():
            price, holding = prices.get(symbol), ledger.holdings.get(symbol)
            sides = sides_of(price, now, rules) if price is not None and _is_told(price) else None
            if sides is None or (holding is not None and holding.strategy != strategy):
                continue
            if sides.apart > rules.collar:
                apart[symbol] = sides
                continue
            held = holding.quantity if holding is not None else ZERO
            lines[symbol] = Line(
                symbol=symbol, weight=weight, held=held, bid=sides.bid, ask=sides.ask, lot=lot_of("equity")
            )
        trades = rebalance(lines.values(), equity=funds.value, cash=funds.cash, policy=policy)
        own = [order for order in ledger.orders.values() if order.strategy == strategy]
        return cls(
            policy=policy,
            lines=lines,
            apart=apart,
            sales={each.symbol: each for each in trades if each.sells},
            purchases={each.symbol: each for each in trades if not each.sells},
            selling=tuple(sorted({order.symbol for order in own if order.exit or order.reduction})),
            value=funds.value,
            cash=funds.cash,
        )


def _is_told(price: Price) -> bool:
    return price.connected and not price.halted
