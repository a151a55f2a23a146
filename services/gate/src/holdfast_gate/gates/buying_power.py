"""BUYING_POWER_SHORT, CASH_UNSETTLED."""

from dataclasses import replace

from holdfast_core.money import ZERO
from holdfast_gate.domain.signals import Candidate, Context
from holdfast_gate.gates.base import Gate, Verdict, amount, blocked, passed, shrunk


class BuyingPower(Gate):
    """The order's cost at its limit, with the fee that it may cost, fits what is free: the smallest of three, each net
    of open orders and of what this batch was allowed.

    80 % of equity less what is invested; cash, of coins the settled part of it, as the newest clean verdict knows it;
    the gross exposure limit less what is invested.
    """

    name = "buying_power"
    title = "Buying power"
    priority = "P0"
    requirements = ("BR-7", "FP-4.3", "RC-3", "RC-4", "PT-2")

    def evaluate(self, signal: Candidate, context: Context) -> Verdict:
        funds, rules = context.funds, context.rules
        invested = funds.invested + context.allowed.cost
        by_fraction = rules.buying_power_fraction * funds.equity - invested
        unsettled = context.ledger.reconciliation.unsettled_cash if context.cycle.book == "crypto" else ZERO
        by_cash = funds.cash - unsettled - context.allowed.cost
        by_exposure = rules.max_gross_exposure * funds.equity - invested
        free = min(by_fraction, by_cash, by_exposure)
        limit = (signal.limit_price or ZERO) * (1 + context.fee_rate)
        fits = min(signal.quantity, context.lot(signal.symbol).bought_for(free, limit))
        numbers = {
            "equity": amount(funds.equity),
            "invested": amount(invested),
            "cash": amount(funds.cash),
            "unsettled": amount(unsettled),
            "free": amount(free),
            "cost": amount(signal.cost),
            "fee": amount(signal.cost * context.fee_rate),
            "wanted": amount(signal.quantity),
            "quantity": amount(fits),
        }
        reason = "CASH_UNSETTLED" if unsettled and free == by_cash else "BUYING_POWER_SHORT"
        if fits <= 0 or fits * (signal.limit_price or ZERO) < rules.min_order_notional:
            return blocked(reason, "There is not enough buying power for the smallest order.", numbers)
        if fits < signal.quantity:
            return shrunk(reason, "Made smaller by the buying power left.", numbers, replace(signal, quantity=fits))
        return passed(numbers)
