"""COLLAR_NO_PRICE, COLLAR_EXCEEDED."""

from dataclasses import replace
from decimal import Decimal

from holdfast_core.instruments import round_price, tick_of
from holdfast_gate.domain.signals import Candidate, Context
from holdfast_gate.gates.base import Gate, Verdict, amount, blocked, passed


class PriceCollar(Gate):
    """The price the strategy saw lies within the collar around a fresh price; else the market has left it behind.

    Settles the order's prices: the limit at the collar's upper edge, the protective stop below the fresh price.
    """

    name = "collar"
    title = "Price within the collar"
    requirements = ("TL-4", "TL-5", "TL-9")

    def evaluate(self, signal: Candidate, context: Context) -> Verdict:
        collar, basis, seen = context.rules.collar, signal.basis, signal.signal_price
        if basis is None or seen is None or not seen.is_finite() or seen <= 0:
            numbers = {"seen": amount(seen) if seen is not None else "none", "collar": amount(collar)}
            return blocked("COLLAR_NO_PRICE", "There is no price to measure the order by.", numbers)
        distance = abs(seen - basis.price) / basis.price
        numbers = {
            "seen": amount(seen),
            "price": amount(basis.price),
            "source": basis.source,
            "distance": f"{distance:.6f}",
            "collar": amount(collar),
        }
        if distance > collar:
            return blocked("COLLAR_EXCEEDED", "The price has moved away from what the strategy saw.", numbers)
        book, tick = context.cycle.book, context.tick(signal.symbol)
        # Down: the limit stays inside the collar. Up: the stop risks no more than its fraction.
        limit = round_price(basis.price * (1 + collar), up=False, book=book, tick=tick)
        stop = round_price(basis.price * (1 - _stop_fraction(signal, context)), up=True, book=book, tick=tick)
        if stop >= basis.price:
            step = tick or tick_of(basis.price, book=book)
            stop = round_price(basis.price - step, up=False, book=book, tick=tick)
        if not stop < basis.price:
            return blocked("COLLAR_NO_PRICE", "The price leaves no room for a stop below it.", numbers)
        numbers["limit"], numbers["stop"] = amount(limit), amount(stop)
        return passed(numbers, replace(signal, limit_price=limit, stop_price=stop))


def _stop_fraction(signal: Candidate, context: Context) -> Decimal:
    """The signal's own distance of the stop, else the strategy's."""
    if signal.stop_fraction is not None:
        return signal.stop_fraction
    return context.strategy.stop_fraction if context.strategy is not None else context.rules.collar
