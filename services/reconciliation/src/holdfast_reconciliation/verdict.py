"""From differences to a verdict: what still needs evidence, what is halted, and the message that execution records."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_core.money import ZERO
from holdfast_reconciliation.domain.comparison import WAITS_ONCE, Action, Difference
from holdfast_reconciliation.domain.states import BrokerSide, LedgerSide
from holdfast_runtime.wire import to_decimal, to_timestamp

CLEAN = pb.RECONCILIATION_STATE_CLEAN
DISCREPANT = pb.RECONCILIATION_STATE_DISCREPANT
UNAVAILABLE = pb.RECONCILIATION_STATE_UNAVAILABLE

MAX_DISCREPANCIES = 100
"""In one verdict; the first ones name what is wrong."""


def unsettled(differences: Iterable[Difference]) -> bool:
    """True where something has to be done."""
    return any(not each.settled for each in differences)


def after_evidence(differences: Iterable[Difference], seen_before: frozenset[tuple[str, str, str]]) -> list[Difference]:
    """What execution's fresh look at the broker did not settle is halted; cash and stops at their second round."""
    return [
        each
        if each.settled
        else replace(
            each, action=Action.WAIT if each.kind in WAITS_ONCE and each.key not in seen_before else Action.HALT
        )
        for each in differences
    ]


def unsettled_cash(ledger: LedgerSide, broker: BrokerSide) -> Decimal:
    """Dollars that are cash but pay no coins yet: proceeds of sales. What open entries reserve is counted elsewhere."""
    if broker.settled_cash is None:
        return ZERO
    return max(broker.cash - broker.settled_cash - ledger.reserved, ZERO)


def message(
    state: pb.ReconciliationState.ValueType,
    differences: Iterable[Difference],
    *,
    market_time: datetime,
    version: int,
    unsettled: Decimal = ZERO,
) -> pb.ReconciliationVerdict:
    """The verdict as it travels."""
    return pb.ReconciliationVerdict(
        state=state,
        discrepancies=[
            pb.Discrepancy(
                kind=each.kind,
                symbol=each.symbol,
                subject=each.subject,
                ledger_value=each.ledger_value,
                broker_value=each.broker_value,
                action=each.action,
            )
            for each in list(differences)[:MAX_DISCREPANCIES]
        ],
        market_time=to_timestamp(market_time),
        compared_at_version=version,
        unsettled_cash=to_decimal(unsettled) if unsettled else None,
    )
