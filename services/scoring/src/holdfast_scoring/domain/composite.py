"""The composite score of one signal, 0 to 5, with its breakdown.

    score = 5 × conviction × Σ(weight × value) / Σ weight,   conviction = (1 + strength) / 2

Each of the 21 components has a value from 0 (against) over 0.5 (neutral, or no data) to 1 (for). Conviction is how far
the strategy itself stands behind its signal: full strength leaves the evidence as it is, none halves it.
So a strategy that brings no outside evidence at all scores 2.5 × conviction: 2.5 at full strength, which passes the
entry threshold of 2.0, and 2.0 at strength 0.6, below which it would need evidence in its favour (FP-2.x, FP-3.8).

What is not finite never reaches a score: the component falls back to neutral and the fault is told (FP-2.2).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from holdfast_scoring.domain.components import BANDS, COMPONENTS, NEUTRAL, Weights, complete
from holdfast_scoring.domain.regime import Regime

HIGHEST = 5.0


class Part(NamedTuple):
    """One component of a score. The contributions add up to the score."""

    name: str
    weight: float
    """Its share of all weights, 0 to 1."""
    value: float
    contribution: float
    missing: bool


@dataclass(frozen=True, slots=True)
class Composite:
    """A score and what it is made of."""

    value: float
    parts: tuple[Part, ...]
    regime: Regime
    faults: tuple[str, ...]
    """Names of the inputs that were no finite numbers."""


def shares_of(weights: Weights) -> tuple[float, ...]:
    """Each component's share of all weights, in their order. What is absent or impossible begins anew (FP-2.1)."""
    whole, _ = complete(weights)
    total = math.fsum(whole.values())
    return tuple(whole[name] / total for name in COMPONENTS)


def composite(strength: float, evidence: Mapping[str, float], shares: Sequence[float], regime: Regime) -> Composite:
    """Scores one signal. `evidence`: value by component name; what is absent is neutral, what lies outside 0 to 1 is
    cut to it, and other names mean nothing. `shares`: of all weights, from `shares_of`."""
    known = {name: value for name, value in evidence.items() if name in BANDS}
    faults = [name for name in COMPONENTS if name in known and not math.isfinite(known[name])]
    if not math.isfinite(strength):
        faults.append("strength")
        strength = 0.0
    conviction = (1.0 + min(max(strength, 0.0), 1.0)) / 2.0
    highest = HIGHEST * conviction
    parts = []
    for name, share in zip(COMPONENTS, shares, strict=True):
        missing = name not in known or name in faults
        value = NEUTRAL if missing else min(max(known[name], 0.0), 1.0)
        parts.append(Part(name, share, value, highest * share * value, missing))
    score = min(max(math.fsum([part.contribution for part in parts]), 0.0), HIGHEST)
    return Composite(score, tuple(parts), regime, tuple(faults))
