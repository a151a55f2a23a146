"""SIZE_ZERO, REBALANCE_OFF, PRICES_APART, SALES_FIRST, WITHIN_BAND."""

from dataclasses import replace
from decimal import Decimal

from holdfast_core.money import ZERO
from holdfast_gate.domain.plan import Plan
from holdfast_gate.domain.signals import Candidate, Context, Direction
from holdfast_gate.gates.base import Gate, Verdict, amount, blocked, passed


class Size(Gate):
    """The target weight of the strategy's allocation at the fresh price, in the asset's steps: shares are whole.

    Of a rebalanced strategy: the trade that brings the symbol to its target, purchases after the sales.
    """

    name = "size"
    title = "Size of the order"
    requirements = ("CQ-3", "SY-2")
    applies_to_reductions = True

    def evaluate(self, signal: Candidate, context: Context) -> Verdict:
        if context.plan is not None:
            return _planned(signal, context.plan, context.rules.collar)
        if signal.direction is Direction.REDUCE_LONG:
            return blocked("REBALANCE_OFF", f"{context.cycle.strategy} has no settings of `rebalance`.", {})
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


def _planned(signal: Candidate, plan: Plan, collar: Decimal) -> Verdict:
    if (sides := plan.apart.get(signal.symbol)) is not None:
        numbers = {
            "bid": amount(sides.bid),
            "ask": amount(sides.ask),
            "apart": f"{sides.apart:.6f}",
            "collar": amount(collar),
        }
        return blocked("PRICES_APART", f"The prices of {signal.symbol} lie too far apart to size a trade by.", numbers)
    line = plan.lines.get(signal.symbol)
    if line is None:
        return blocked("FEED_STALE", f"There is no fresh price of {signal.symbol} to size a trade by.", {})
    sells = signal.direction is Direction.REDUCE_LONG
    trade = (plan.sales if sells else plan.purchases).get(signal.symbol)
    quantity = trade.quantity if trade is not None else ZERO
    numbers = {
        "value": amount(plan.value),
        "cash": amount(plan.cash),
        "target_weight": amount(line.weight),
        "held": amount(line.held),
        "bid": amount(line.bid),
        "ask": amount(line.ask),
        "cash_buffer": amount(plan.policy.cash_buffer),
        "min_trade": amount(plan.policy.min_trade),
        "band": amount(plan.policy.band),
        "quantity": amount(quantity),
    }
    ahead = sorted({*plan.sales, *plan.selling})
    if not sells and ahead:
        numbers["sales"] = ", ".join(ahead)
        return blocked("SALES_FIRST", "Bought at the next time: what the portfolio sells comes first.", numbers)
    if trade is None:
        return blocked("WITHIN_BAND", f"{signal.symbol} is near its target, or the trade would be too small.", numbers)
    return passed(numbers, replace(signal, quantity=quantity))
