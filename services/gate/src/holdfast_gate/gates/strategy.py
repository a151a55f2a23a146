"""STRATEGY_HALTED, STRATEGY_STOPPED, STRATEGY_UNKNOWN, STRATEGY_SYMBOL."""

from holdfast_gate.domain.signals import Candidate, Context
from holdfast_gate.gates.base import Gate, Verdict, blocked, passed
from holdfast_gate.gates.kill_switch import halt_numbers


class StrategyRuns(Gate):
    """The strategy is configured, may trade the symbol, and neither halted, stopped nor failed."""

    name = "strategy"
    title = "Strategy running"
    requirements = ("SQ-3", "SQ-8", "SQ-10")
    applies_to_reductions = True

    def evaluate(self, signal: Candidate, context: Context) -> Verdict:
        strategy = context.cycle.strategy
        if halt := context.ledger.strategy_halts.get(strategy):
            return blocked("STRATEGY_HALTED", f"{strategy} is halted: {halt.reason}", halt_numbers(halt))
        progress = context.ledger.progress.get(strategy)
        state = progress.state if progress is not None else ""
        if state not in ("", "running"):
            return blocked("STRATEGY_STOPPED", f"{strategy} is {state}.", {"state": state})
        rules = context.strategy
        if rules is None or not rules.enabled:
            return blocked("STRATEGY_UNKNOWN", f"No strategy {strategy} is configured and enabled.", {"state": state})
        if signal.symbol not in rules.symbols:
            numbers = {"symbol": signal.symbol, "symbols": str(len(rules.symbols))}
            return blocked("STRATEGY_SYMBOL", f"{strategy} may not trade {signal.symbol}.", numbers)
        return passed({"state": state or "running"})
