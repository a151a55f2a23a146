"""Which revision of the contracts between services a program speaks, told with every call.

Contracts only grow, so that programs of different releases understand each other while one replaces the other. Where
that is not enough (the meaning of a field changes), the newer program raises both numbers here: entries between it and
an older one are refused until both are of the new release. Exits and stops go on.
"""

from dataclasses import dataclass

METADATA = "holdfast-revisions"
INCOMPATIBLE = "REVISIONS_INCOMPATIBLE"
"""The coded reason of what is refused."""


@dataclass(frozen=True, slots=True)
class Revisions:
    """What a program speaks, and the oldest that it understands."""

    spoken: int
    oldest: int

    @classmethod
    def read(cls, text: str) -> "Revisions":
        """From a call's metadata. A program that tells nothing, or something else, speaks none."""
        spoken, _, oldest = text.partition("-")
        return cls(int(spoken), int(oldest)) if spoken.isdecimal() and oldest.isdecimal() else cls(0, 0)

    def understands(self, other: "Revisions") -> bool:
        """True where each is new enough for the other."""
        return other.spoken >= self.oldest and self.spoken >= other.oldest

    def __str__(self) -> str:
        return f"{self.spoken}-{self.oldest}"


OWN = Revisions(spoken=1, oldest=1)
