"""What a gate is, and what it says."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import ClassVar

from holdfast_gate.domain.signals import Candidate, Context


class Outcome(Enum):
    PASS = "PASS"
    BLOCK = "BLOCK"
    SHRINK = "SHRINK"


@dataclass(slots=True)
class Verdict:
    """What one gate said of one signal. `candidate` is set where the gate has settled a part of the order."""

    outcome: Outcome
    reason: str
    """Coded: CATEGORY_CONDITION; PASSED where there is nothing to say."""
    message: str
    """One plain sentence for people; empty for a pass."""
    numbers: Mapping[str, str]
    candidate: Candidate | None = None


class Gate(ABC):
    """One condition. Stateless and pure: the same signal and context give the same verdict."""

    name: ClassVar[str]
    title: ClassVar[str]
    priority: ClassVar[str] = ""
    """In the words of the source documents; empty where they name none."""
    requirements: ClassVar[tuple[str, ...]] = ()
    applies_to_entries: ClassVar[bool] = True
    applies_to_exits: ClassVar[bool] = False
    """Exits lower the risk: what only limits risk never stands in their way."""
    applies_to_reductions: ClassVar[bool] = False
    """A sale of a part for the sake of a target weight: nothing urgent, and its size rests on a price."""
    per_cycle: ClassVar[bool] = False
    """True for a CycleGate."""

    @abstractmethod
    def evaluate(self, signal: Candidate, context: Context) -> Verdict:
        """The verdict on `signal`."""


class CycleGate(Gate):
    """A gate whose verdict is the same for every signal of a cycle: it is evaluated once."""

    per_cycle = True

    @abstractmethod
    def judge(self, context: Context) -> Verdict:
        """The verdict on the cycle."""

    def evaluate(self, signal: Candidate, context: Context) -> Verdict:  # noqa: ARG002 - the same for each
        return self.judge(context)


def passed(numbers: Mapping[str, str], candidate: Candidate | None = None) -> Verdict:
    return Verdict(Outcome.PASS, "PASSED", "", numbers, candidate)


def blocked(reason: str, message: str, numbers: Mapping[str, str]) -> Verdict:
    return Verdict(Outcome.BLOCK, reason, message, numbers)


def shrunk(reason: str, message: str, numbers: Mapping[str, str], candidate: Candidate) -> Verdict:
    return Verdict(Outcome.SHRINK, reason, message, numbers, candidate)


def amount(value: Decimal) -> str:
    """A decimal as text, without an exponent."""
    return format(value, "f")


def secs(value: timedelta) -> str:
    return f"{value.total_seconds():g}"


def instant(value: datetime | None) -> str:
    return "never" if value is None else value.isoformat()
