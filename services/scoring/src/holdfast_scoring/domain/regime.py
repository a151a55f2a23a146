"""The market's regime, as scores carry it. None is detected yet, which is a failed detection: NEUTRAL (FP-2.5)."""

from enum import StrEnum


class Regime(StrEnum):
    """What kind of market it is."""

    RISK_ON = "RISK_ON"
    NEUTRAL = "NEUTRAL"
    RISK_OFF = "RISK_OFF"
    PANIC = "PANIC"
    CHOP = "CHOP"
    STABLE = "STABLE"


FALLBACK = Regime.NEUTRAL


def regime_of(name: str | None) -> Regime:
    """The regime of that name; NEUTRAL where it is unknown, empty or absent."""
    try:
        return Regime(name or "")
    except ValueError:
        return FALLBACK
