"""How long the venue takes over what is asked of it, in market time: nothing, unless a command says otherwise.

Alpaca works asynchronously: an order, a cancel or a replacement may be pending for a while, and the old order may fill
meanwhile. In a fast market both legs of an OCO may fill, because the cancel of the other one comes too late.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

EVERYTHING = ""
"""In place of a symbol: all of them."""
NOTHING = timedelta()


class Step(StrEnum):
    """What can take its time."""

    NEW = "new"
    CANCEL = "cancel"
    REPLACE = "replace"
    GROUP = "group"
    """The cancel of the other leg after one has filled."""


@dataclass(slots=True)
class Holds:
    """Delays by step and symbol (or EVERYTHING)."""

    delays: dict[tuple[Step, str], timedelta] = field(default_factory=dict)

    def set(self, step: Step, symbol: str, delay: timedelta) -> None:
        """No delay takes the hold away."""
        if delay:
            self.delays[step, symbol] = delay
        else:
            self.delays.pop((step, symbol), None)

    @classmethod
    def for_all(cls, delay: timedelta) -> "Holds":
        """New orders, cancels and replacements of everything take that long."""
        holds = cls()
        for step in (Step.NEW, Step.CANCEL, Step.REPLACE):
            holds.set(step, EVERYTHING, delay)
        return holds

    def of(self, step: Step, symbol: str) -> timedelta:
        """The symbol's own delay, else the market's."""
        return self.delays.get((step, symbol), self.delays.get((step, EVERYTHING), NOTHING))

    def group(self, symbol: str) -> timedelta:
        """How late the cancel of the other leg comes."""
        return self.of(Step.GROUP, symbol)
