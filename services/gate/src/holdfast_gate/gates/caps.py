"""NOTIONAL_EXCEEDED."""

from dataclasses import replace

from holdfast_core.money import ZERO
from holdfast_gate.domain.signals import Candidate, Context
from holdfast_gate.gates.base import Gate, Verdict, amount, blocked, passed, shrunk


class NotionalCaps(Gate):
    """The most the order may cost, at its limit, stays within the caps of an order and of a symbol (order protocol,
    controls on entries)."""

    name = "caps"
    title = "Order and symbol caps"

    def evaluate(self, signal: Candidate, context: Context) -> Verdict:
        rules = context.rules
        cap = min(rules.max_order_notional, rules.max_symbol_notional)
        fits = min(signal.quantity, context.lot(signal.symbol).bought_for(cap, signal.limit_price or ZERO))
        numbers = {
            "order_cap": amount(rules.max_order_notional),
            "symbol_cap": amount(rules.max_symbol_notional),
            "cost": amount(signal.cost),
            "wanted": amount(signal.quantity),
            "quantity": amount(fits),
        }
        if fits <= 0:
            return blocked("NOTIONAL_EXCEEDED", "The smallest order costs more than the cap.", numbers)
        if fits < signal.quantity:
            return shrunk("NOTIONAL_EXCEEDED", "Made smaller by the cap.", numbers, replace(signal, quantity=fits))
        return passed(numbers)
