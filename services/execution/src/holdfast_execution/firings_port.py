"""The part of the ledger's port about timed trades."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from holdfast_core.schedules import Firing
from holdfast_execution.domain.firings import FiringRow, Settlement


class FiringReads(Protocol):
    """What is planned."""

    def firings_due(self) -> list[FiringRow]:
        """Those that nothing has become of yet, the first one first."""


class FiringWrites(FiringReads, Protocol):
    """A firing is stored before its instant, so that no restart forgets it, and settled once."""

    def plan_firings(self, epoch: int, now: datetime, firings: Sequence[Firing]) -> list[FiringRow]:
        """Stores those that are not known yet, void ones as skipped. Returns all that are due."""

    def settle_firing(self, epoch: int, now: datetime, firing_id: str, settlement: Settlement) -> FiringRow:
        """Compare-and-swap from due; what the firing does belongs into the same transaction.

        Raises ClaimRefused(FIRING_SETTLED) where it is settled already, UnknownRow."""
