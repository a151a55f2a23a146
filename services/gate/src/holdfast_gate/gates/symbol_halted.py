"""SYMBOL_HALTED."""

from holdfast_gate.domain.signals import Candidate, Context, Direction
from holdfast_gate.gates.base import Gate, Verdict, blocked, instant, passed
from holdfast_gate.gates.kill_switch import halt_numbers


class SymbolHalted(Gate):
    """The symbol is halted by us (a foreign order, a discrepancy) or by its exchange: no entry until it trades.

    Ours stands in no sale's way. While the exchange halts it there is no price to size the sale of a part by.
    """

    name = "symbol_halted"
    title = "Symbol not halted"
    priority = "P1"
    requirements = ("TL-3", "BS-10", "FP-4.5")
    applies_to_reductions = True

    def evaluate(self, signal: Candidate, context: Context) -> Verdict:
        halt = context.ledger.symbol_halts.get(signal.symbol)
        if halt and signal.direction is Direction.ENTER_LONG:
            return blocked("SYMBOL_HALTED", f"{signal.symbol} is halted: {halt.reason}", halt_numbers(halt))
        price = context.prices.get(signal.symbol)
        if price is not None and price.halted:
            numbers = {"kind": "trading_status", "as_of": instant(price.as_of)}
            return blocked("SYMBOL_HALTED", f"The exchange has halted {signal.symbol}.", numbers)
        return passed({"halts": str(int(halt is not None))})
