"""NOTHING_HELD, SYMBOL_OWNED, EXIT_UNDERWAY, ENTRY_UNDERWAY."""

from dataclasses import replace

from holdfast_core.instruments import is_dust
from holdfast_core.money import ZERO
from holdfast_gate.domain.market import Basis
from holdfast_gate.domain.signals import Candidate, Context, Direction
from holdfast_gate.gates.base import Gate, Verdict, amount, blocked, passed


class HoldingToExit(Gate):
    """An exit sells what its own strategy holds, or may still come to hold by an open entry, and sells it once.

    A reduction waits until nothing else of the symbol is under way; an exit takes over from it.
    """

    name = "holding"
    title = "Something to exit"
    requirements = ("IG-2", "SQ-7")
    applies_to_entries = False
    applies_to_exits = True
    applies_to_reductions = True

    def evaluate(self, signal: Candidate, context: Context) -> Verdict:
        symbol, strategy = signal.symbol, context.cycle.strategy
        holding = context.ledger.holdings.get(symbol)
        if holding is not None and holding.strategy != strategy:
            numbers = {"owner": holding.strategy or "none", "held": amount(holding.quantity)}
            return blocked("SYMBOL_OWNED", f"{holding.strategy or 'Nobody of ours'} holds {symbol}.", numbers)
        orders = [order for order in context.ledger.open_orders.get(symbol, ()) if order.strategy == strategy]
        held = holding.quantity if holding is not None else ZERO
        entering = sum((order.remaining for order in orders if order.entry), ZERO)
        numbers = {"held": amount(held), "entering": amount(entering)}
        if held + entering <= 0 or is_dust(held + entering, context.cycle.book):
            return blocked("NOTHING_HELD", f"{strategy} holds no {symbol} that could be sold.", numbers)
        reduces = signal.direction is Direction.REDUCE_LONG
        for order in orders:
            numbers["intent_id"] = order.intent_id
            if order.exit or (reduces and order.reduction):
                return blocked("EXIT_UNDERWAY", f"{strategy} is selling {symbol} already.", numbers)
            if reduces and order.entry:
                return blocked("ENTRY_UNDERWAY", f"{strategy} is buying {symbol}.", numbers)
        numbers.pop("intent_id", None)
        return passed(numbers, replace(signal, quantity=held + entering, basis=_last_known(signal, context)))


def _last_known(signal: Candidate, context: Context) -> Basis | None:
    """For people to read: an exit is not measured by a price."""
    price = context.prices.get(signal.symbol)
    if price is None or price.last is None or price.bar_at is None:
        return None
    return Basis(price.last, "bar", price.bar_at)
