"""The flows between services that lock-step balances: the next tick goes out when each receiver has caught up.

A position is a stream sequence, a version or a count of frames on the present connection; all only grow within it.
"""

from dataclasses import dataclass

VENUE = "papermarket"


@dataclass(frozen=True, slots=True)
class Flow:
    """Who sends, who must have received as much. `exact`: counts of one connection, which must be equal."""

    name: str
    senders: tuple[str, ...]
    receivers: tuple[str, ...]
    exact: bool = False


DATA = "data"
PRICES = "prices"
CYCLES = "cycles"
LEDGER = "ledger"
SNAPSHOT = "snapshot"
TRADE_UPDATES = "trade_updates"

FLOWS = (
    Flow(DATA, (VENUE,), ("signal",), exact=True),
    Flow(PRICES, ("signal",), ("execution", "gate"), exact=True),
    Flow(CYCLES, ("signal",), ("scoring",)),
    # A version of the ledger that a caller was answered: execution's own report must be at least as new.
    # Scoring passes on what the gate was answered: its report of the cycle may overtake the gate's newer one.
    Flow(LEDGER, ("scoring", "gate", "reconciliation"), ("execution",)),
    Flow(SNAPSHOT, ("execution",), ("gate",)),
    Flow(TRADE_UPDATES, (VENUE,), ("execution",), exact=True),
)
