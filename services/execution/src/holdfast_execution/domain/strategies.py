"""States of a strategy: whether it may trade, and where its cycle of trades stands (SQ-12)."""

from enum import StrEnum

from holdfast_execution.domain.intents import Purpose

SAFETY_ABORT = "safety_abort"
"""Kind of the halt that a failed strategy leaves behind."""


STOPPED = "STRATEGY_STOPPED"
"""The coded reason of what a strategy that does not run is refused."""


class StrategyState(StrEnum):
    """Only a running one enters. Its stops, exits and flattening go on in every state."""

    RUNNING = "running"
    STOPPED = "stopped"
    """By a person, until a person starts it."""
    FAILED = "failed"
    """Aborted for safety, until a person starts it."""


class TradeState(StrEnum):
    """What the ledger shows of a strategy's trades."""

    NONE = "none"
    BOUGHT = "bought"
    SOLD = "sold"
    EXITED_BY_STOP = "exited_by_sl"


def trade_state(*, holds: bool, last_sale: Purpose | None) -> TradeState:
    """`holds`: it has a position; `last_sale`: why it sold last, None where it never did."""
    if holds:
        return TradeState.BOUGHT
    match last_sale:
        case None:
            return TradeState.NONE
        case Purpose.EXIT | Purpose.REDUCE:
            return TradeState.SOLD
        case _:
            # A flattening sells in the stop's place: it was passed by, refused or never confirmed.
            return TradeState.EXITED_BY_STOP
