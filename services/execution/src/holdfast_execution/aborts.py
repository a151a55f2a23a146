"""The safety abort: no more entries of a strategy until a person starts it; protection goes on.

SQ-1, SQ-3, SQ-7, SQ-8.
"""

from datetime import datetime

import structlog

from holdfast_execution.domain.strategies import SAFETY_ABORT, StrategyState
from holdfast_execution.ledger import Ledger
from holdfast_execution.rows import IntentRow
from holdfast_runtime.telemetry import metrics

log = structlog.get_logger()


def abort(ledger: Ledger, epoch: int, now: datetime, *, intent: IntentRow, reason: str) -> None:
    """Fails the strategy of `intent`; an abort that stands already is left as it is. Raises as `Ledger.add_halt`."""
    _fail(ledger, epoch, now, intent.strategy, f"{reason}: {intent.intent_id}")


def abort_unreadable(ledger: Ledger, epoch: int, now: datetime) -> None:
    """Fails each strategy whose stored state cannot be read, and no other (SQ-8, DI-3). Raises as `Ledger.add_halt`."""
    for row in ledger.strategies():
        if not row.readable:
            log.error("strategy.state_unreadable", strategy=row.strategy, reason=row.reason)
            metrics.QUARANTINED.labels(source="ledger", reason="strategy_state").inc()
            _fail(ledger, epoch, now, row.strategy, row.reason)


def _fail(ledger: Ledger, epoch: int, now: datetime, strategy: str, reason: str) -> None:
    ledger.set_strategy_state(epoch, now, strategy, StrategyState.FAILED, reason=reason)
    ledger.add_halt(epoch, now, SAFETY_ABORT, reason, strategy=strategy)
