"""What a failure point is: one way in which trading can break, or is held back on purpose."""

import re
from dataclasses import dataclass
from enum import StrEnum

EVERY_SERVICE = "runtime"
"""Owner of the points that each service watches in its own process."""

_ID = re.compile(r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$")


class InvalidPoint(ValueError):
    """A row of the catalogue that contradicts itself. Names the point."""


class Severity(StrEnum):
    """What a point may do to the trading status: critical turns it RED, high YELLOW, low is shown only."""

    CRITICAL = "critical"
    HIGH = "high"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailurePoint:
    """One row of the catalogue (SH-1, SH-2, PA-1). Raises InvalidPoint where it is not whole."""

    id: str
    """Dotted name, e.g. `feed.stale`: never changed once it is used."""
    title: str
    owner: str
    """The service that watches it; EVERY_SERVICE: each one."""
    severity: Severity
    priority: str = ""
    """In the words of the source documents; empty where they name none."""
    covers: tuple[str, ...]
    """Requirement ids this point is about."""
    detector: str
    """What it looks at, and from when on it is WARN or ERROR."""
    healer: str = ""
    """What heals it without a person."""
    why_no_healer: str = ""
    """Why only a person, or only time, helps. Either this or `healer`."""
    max_attempts: int = 0
    """Bound of the attempts of a healer that the sentinel itself runs; 0: a loop of the product heals."""
    heal_within_secs: float = 30.0
    """How long a healer in the product has, in monotonic time, before a person is told."""
    manual_steps: tuple[str, ...] = ()
    """What a person does where no healer helps."""
    intentional: bool = False
    """Blocks on purpose: shown and explained, never an alarm."""
    proofs: tuple[str, ...]
    """Tests and drills that inject it and see detector and healer work: `path::test`."""

    def __post_init__(self) -> None:
        for wrong, why in (
            (not _ID.match(self.id), "the id is no dotted lower-case name"),
            (not self.title or not self.detector, "title or detector is missing"),
            (bool(self.healer) == bool(self.why_no_healer), "give either a healer or why there is none"),
            (bool(self.max_attempts) and not self.healer, "attempts without a healer"),
            (not self.covers, "it covers no requirement"),
            (len(set(self.covers)) != len(self.covers), "a requirement is covered twice"),
            (not self.manual_steps and not self.intentional, "manual steps are missing"),
            (not self.proofs, "nothing proves it"),
        ):
            if wrong:
                raise InvalidPoint(f"{self.id}: {why}")
