"""FEED_STALE, FEED_DISCONNECTED."""

from dataclasses import replace

from holdfast_gate.domain.market import basis_of
from holdfast_gate.domain.signals import Candidate, Context
from holdfast_gate.gates.base import Gate, Verdict, amount, blocked, instant, passed, secs


class FeedFresh(Gate):
    """No entry while blind: a fresh quote, else a fresh bar, over a connected feed."""

    name = "feed"
    title = "Market data fresh"
    priority = "LOW"
    requirements = ("SQ-6", "TL-1")

    def evaluate(self, signal: Candidate, context: Context) -> Verdict:
        price = context.prices.get(signal.symbol)
        if price is None:
            numbers = {"as_of": "never", "now": instant(context.now)}
            return blocked("FEED_STALE", f"No price of {signal.symbol} was ever seen.", numbers)
        basis = basis_of(price, context.now, context.rules) if price.connected else None
        if basis is None:
            times = {"quote_at": price.quote_at, "bar_at": price.bar_at, "now": context.now}
            numbers = {name: instant(at) for name, at in times.items()}
            if not price.connected:
                return blocked("FEED_DISCONNECTED", "The market-data feed is disconnected.", numbers)
            return blocked("FEED_STALE", f"The newest price of {signal.symbol} is too old.", numbers)
        numbers = {"source": basis.source, "price": amount(basis.price), "age_secs": secs(context.now - basis.at)}
        return passed(numbers, replace(signal, basis=basis))
