"""COOLDOWN_ACTIVE."""

from holdfast_gate.domain.signals import Candidate, Context
from holdfast_gate.gates.base import Gate, Verdict, blocked, instant, passed, secs


class Cooldown(Gate):
    """A symbol is entered again only some time after its last allowed entry, as the stored decisions tell it."""

    name = "cooldown"
    title = "Cooldown of the symbol over"
    requirements = ("FP-3.7",)

    def evaluate(self, signal: Candidate, context: Context) -> Verdict:
        last = context.ledger.last_entries.get(signal.symbol)
        cooldown = context.rules.cooldown
        if last is None:
            return passed({"last_entry": "never", "cooldown_secs": secs(cooldown)})
        ends_at = last.at + cooldown
        numbers = {"last_entry": instant(last.at), "cooldown_secs": secs(cooldown), "ends_at": instant(ends_at)}
        if context.now < ends_at:
            return blocked("COOLDOWN_ACTIVE", f"{signal.symbol} was entered a short while ago.", numbers)
        return passed(numbers)
