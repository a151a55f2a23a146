"""SIZE_ZERO."""

from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal

from holdfast_core.money import ZERO
from holdfast_gate.domain.signals import Candidate, Context
from holdfast_gate.gates.base import Gate, Verdict, amount, blocked, passed


def whole_shares(dollars: Decimal, price: Decimal) -> Decimal:
    """How many whole shares `dollars` buy at `price`; zero where that is none."""
    if dollars <= 0 or price <= 0:
        return ZERO
    return (dollars / price).quantize(Decimal(1), rounding=ROUND_FLOOR)


class Size(Gate):
    """The target weight of the strategy's allocation, in whole shares at the fresh price."""

    name = "size"
    title = "Size of the order"
    requirements = ("CQ-3",)

    def evaluate(self, signal: Candidate, context: Context) -> Verdict:
        allocation = context.strategy.allocation if context.strategy is not None else ZERO
        price = signal.basis.price if signal.basis is not None else ZERO
        budget = allocation * signal.target_weight
        quantity = whole_shares(budget, price)
        numbers = {
            "allocation": amount(allocation),
            "target_weight": amount(signal.target_weight),
            "price": amount(price),
            "quantity": amount(quantity),
            "minimum": amount(context.rules.min_order_notional),
        }
        if quantity <= 0 or quantity * price < context.rules.min_order_notional:
            return blocked("SIZE_ZERO", "The allocation does not buy one share.", numbers)
        return passed(numbers, replace(signal, quantity=quantity))
