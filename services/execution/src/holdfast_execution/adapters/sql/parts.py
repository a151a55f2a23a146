"""What one version of the ledger looks like, kept so that the next cycle need not read it again.

A version is committed once and never changes, so whatever was read of it stays true. Only committed state is kept.
Halts are not part of it: admin inserts them without raising the version.
"""

from dataclasses import dataclass
from decimal import Decimal

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution.rows import IntentRow, PositionRow, StrategyRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of a view that depend on the version alone."""

    key: tuple[int, int]
    """Version and newest event."""
    reserved: Decimal
    positions: tuple[PositionRow, ...]
    open_intents: tuple[IntentRow, ...]
    strategies: tuple[StrategyRow, ...]
    verdict: execution.ReconciliationVerdict | None


@dataclass(slots=True)
class PartsCache:
    """Shared by the writer's and the reader's session. Holding it is one assignment, safe between threads."""

    newest: Parts | None = None
