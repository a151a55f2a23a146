"""SYMBOL_OWNED, POSITION_HELD, ADDITION_SKIPPED."""

from holdfast_core.instruments import is_dust
from holdfast_gate.domain.signals import Candidate, Context
from holdfast_gate.gates.base import Gate, Verdict, amount, blocked, passed


class SymbolOwner(Gate):
    """The broker nets per account: one owning strategy a symbol, and one position or open order of its own.

    Any open order owns the symbol, a sale as well: a buy beside it would be a wash trade.
    """

    name = "symbol_owner"
    title = "Symbol free"
    priority = "HIGH"
    requirements = ("IG-2", "MG-4")

    def evaluate(self, signal: Candidate, context: Context) -> Verdict:
        symbol, strategy = signal.symbol, context.cycle.strategy
        holding = context.ledger.holdings.get(symbol)
        # Dust of its own is in nobody's way: it cannot be sold, and the entry adds to it.
        if holding and not (holding.strategy == strategy and is_dust(holding.quantity, holding.book)):
            numbers = {"owner": holding.strategy or "none", "held": amount(holding.quantity)}
            if holding.strategy != strategy:
                return blocked("SYMBOL_OWNED", f"{holding.strategy or 'Nobody of ours'} holds {symbol}.", numbers)
            if context.plan is not None and (missing := context.plan.purchases.get(symbol)) is not None:
                numbers["missing"] = amount(missing.quantity)
                return blocked("ADDITION_SKIPPED", f"{symbol} is held: nothing is added to a position.", numbers)
            return blocked("POSITION_HELD", f"{strategy} holds {symbol} already.", numbers)
        for order in context.ledger.open_orders.get(symbol, ()):
            numbers = {"owner": order.strategy or "none", "intent_id": order.intent_id}
            if order.strategy != strategy:
                message = f"{order.strategy or 'Nobody of ours'} has an open order in {symbol}."
                return blocked("SYMBOL_OWNED", message, numbers)
            return blocked("POSITION_HELD", f"{strategy} has an open order in {symbol} already.", numbers)
        if symbol in context.allowed.symbols:
            message = f"This cycle enters {symbol} already."
            return blocked("POSITION_HELD", message, {"owner": strategy, "cycle_id": context.cycle.cycle_id})
        return passed({"owner": "none"})
