"""SIZE_ZERO."""

from dataclasses import replace

from holdfast_core.money import ZERO
from holdfast_gate.domain.signals import Candidate, Context
from holdfast_gate.gates.base import Gate, Verdict, amount, blocked, passed


class Size(Gate):
    """The target weight of the strategy's allocation at the fresh price, in the asset's steps: shares are whole."""

    name = "size"
    title = "Size of the order"
    requirements = ("CQ-3",)

    def evaluate(self, signal: Candidate, context: Context) -> Verdict:
        allocation = context.strategy.allocation if context.strategy is not None else ZERO
        price = signal.basis.price if signal.basis is not None else ZERO
        budget = allocation * signal.target_weight
        quantity = context.lot(signal.symbol).bought_for(budget, price)
        numbers = {
            "allocation": amount(allocation),
            "target_weight": amount(signal.target_weight),
            "price": amount(price),
            "quantity": amount(quantity),
            "minimum": amount(context.rules.min_order_notional),
            "smallest": amount(context.lot(signal.symbol).minimum),
        }
        if quantity <= 0 or quantity * price < context.rules.min_order_notional:
            return blocked("SIZE_ZERO", f"The allocation does not buy the smallest order in {signal.symbol}.", numbers)
        return passed(numbers, replace(signal, quantity=quantity))
