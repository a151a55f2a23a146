"""What reconciliation's sentinel looks at: its verdicts, and how old they are."""

from collections.abc import Callable
from datetime import timedelta

from holdfast_catalogue.gauges import Lasting
from holdfast_catalogue.registry import point
from holdfast_catalogue.sentinel import Watch
from holdfast_catalogue.standing import Finding, error, ok, warn
from holdfast_reconciliation import verdict as verdicts
from holdfast_reconciliation.reconciler import Reconciler
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock
from holdfast_runtime.settings import Settings

STALE_FOR_SECS = 5.0
"""Market time may jump, over a night in a replay: a round follows at once."""
WAITS_SECS = 30.0
"""A round that cannot be told to execution: market time need not move meanwhile, in a replay it waits for the round."""
ROUNDS_OUT_OF_SESSION = 2
MAX_TOLD = 5
"""Discrepancies named in the evidence; admin lists them all."""


def watches(
    reconciler: Reconciler, *, settings: Settings, clock: MarketClock, monotonic: MonotonicClock
) -> list[Watch]:  # fmt: skip
    """One watch for each of reconciliation's points."""
    return [
        Watch(point=point("reconciliation.discrepant"), detect=lambda: _discrepant(reconciler)),
        Watch(point=point("reconciliation.stale"), detect=_stale(reconciler, settings, clock, monotonic)),
        Watch(point=point("reconciliation.broker_unreachable"), detect=lambda: _unreachable(reconciler)),
    ]


def _discrepant(reconciler: Reconciler) -> Finding:
    verdict = reconciler.verdict
    if verdict is None:
        return ok("not compared yet")
    found = verdict.discrepancies
    if verdict.state != verdicts.DISCREPANT:
        return ok("ledger and broker are equal", discrepancies=len(found))
    told = [f"{each.kind} {each.symbol}: {each.ledger_value} here, {each.broker_value} there" for each in found]
    return error("; ".join(told[:MAX_TOLD]), discrepancies=len(found), ledger_version=verdict.compared_at_version)


def _stale(
    reconciler: Reconciler, settings: Settings, clock: MarketClock, monotonic: MonotonicClock
) -> Callable[[], Finding]:
    open_bound = timedelta(seconds=settings.execution.verdict_max_age_secs)
    closed_bound = timedelta(seconds=settings.reconciliation.closed_interval_secs * ROUNDS_OUT_OF_SESSION)
    old, waiting = Lasting(monotonic), Lasting(monotonic)

    def detect() -> Finding:
        if waiting(bool(reconciler.waits_for)) >= WAITS_SECS:
            return error(f"the newest round waits: {reconciler.waits_for}")
        clean_at = reconciler.clean_at
        if clean_at is None:
            return warn("ledger and broker were never equal yet")
        age, bound = clock.now() - clean_at, open_bound if reconciler.in_session else closed_bound
        secs = old(age > bound)
        text = f"{age.total_seconds():.0f} s old in market time, the bound is {bound.total_seconds():.0f} s"
        shown = {"age_secs": f"{age.total_seconds():.0f}", "bound_secs": f"{bound.total_seconds():.0f}"}
        return error(text, **shown) if secs >= STALE_FOR_SECS else ok(text, **shown)

    return detect


def _unreachable(reconciler: Reconciler) -> Finding:
    verdict = reconciler.verdict
    if verdict is None:
        return ok("not asked yet")
    if verdict.state == verdicts.UNAVAILABLE:
        return error(reconciler.why_unavailable or "the broker could not be read")
    return ok("the broker answers")
