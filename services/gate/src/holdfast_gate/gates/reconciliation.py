"""RECONCILIATION_STALE, RECONCILIATION_DISCREPANT."""

from holdfast_gate.domain.signals import Context
from holdfast_gate.gates.base import CycleGate, Verdict, blocked, instant, passed, secs


class Reconciled(CycleGate):
    """Entries need a clean comparison with the broker that is young enough (invariant 10)."""

    name = "reconciliation"
    title = "Reconciled with the broker"
    requirements = ("FP-4.5",)

    def judge(self, context: Context) -> Verdict:
        verdict = context.ledger.reconciliation
        limit = context.rules.verdict_max_age
        numbers = {
            "state": verdict.state or "NONE",
            "compared_at": instant(verdict.at),
            "limit_secs": secs(limit),
            "discrepancies": str(verdict.discrepancies),
        }
        if verdict.state == "DISCREPANT":
            return blocked("RECONCILIATION_DISCREPANT", "Ledger and broker differ.", numbers)
        if verdict.state != "CLEAN" or verdict.at is None:
            return blocked("RECONCILIATION_STALE", "There is no clean comparison with the broker.", numbers)
        age = context.now - verdict.at
        numbers["age_secs"] = secs(age)
        # An order needs the younger bound, as execution checks it again a moment later.
        if age >= limit:
            return blocked("RECONCILIATION_STALE", "The last clean comparison with the broker is too old.", numbers)
        return passed(numbers)
