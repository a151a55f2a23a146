"""What a decision has to wait for, so that it is taken on present facts and not on a passing gap between two of them.

Pure: the service waits and asks again. In lock-step market time stands still while a service is away, so waiting costs
nothing there and decisions do not depend on who was restarted; live, a signal grows old, so the gates explain the
block.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from holdfast_gate.domain.ledger import LedgerView
from holdfast_gate.domain.market import Price
from holdfast_gate.domain.rules import Rules


def ledger_gap(view: LedgerView | None, needed_version: int) -> str:
    """Why nothing at all can be decided; empty where it can."""
    if view is None:
        return "no snapshot of the ledger has come yet"
    if view.version < needed_version:
        return f"the snapshot is at version {view.version}, {needed_version} was committed"
    return ""


def passing_block(view: LedgerView, now: datetime, rules: Rules) -> str:
    """Why entries would be refused only for a moment; empty where nothing passing stands in the way."""
    if view.account_halts:
        # Only a person lifts these: waiting for anything else would be in vain.
        return ""
    verdict = view.reconciliation
    if verdict.state == "DISCREPANT":
        return ""
    if view.entries_locked_reason:
        return f"entries are locked: {view.entries_locked_reason}"
    if verdict.state != "CLEAN" or verdict.at is None or now - verdict.at >= rules.verdict_max_age:
        return f"no fresh comparison with the broker ({verdict.state or 'none yet'})"
    return ""


def feed_gap(prices: Mapping[str, Price], symbols: Iterable[str], *, connected: bool) -> str:
    """Why prices are cut off; empty where they flow."""
    if not connected:
        return "prices are disconnected"
    for symbol in symbols:
        if symbol in prices and not prices[symbol].connected:
            return f"the feed of {symbol} is disconnected"
    return ""
