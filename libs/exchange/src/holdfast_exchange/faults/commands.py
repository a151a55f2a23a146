"""What the fault plan does to an exchange, as commands of its journal."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ArmFaults:
    """Another plan is in force from here on: `plan` is its JSON."""

    at: datetime
    plan: str


@dataclass(frozen=True, slots=True)
class CountFault:
    """A fault has fired: its counters afterwards, so that a killed venue does not let it fire again."""

    at: datetime
    fault_id: str
    seen: int
    fired: int
