"""The 21 parts of a composite score and the bands of their weights (FP-2.1, FP-2.2)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

NEUTRAL = 0.5
"""Value of a component without data: it argues neither for nor against."""

COMPONENTS = (
    "options_flow",
    "dark_pool",
    "insider",
    "iv_term_skew",
    "smile_slope",
    "whale_persistence",
    "event_alignment",
    "temporal_motif",
    "toxicity_penalty",
    "regime_modifier",
    "congress",
    "shorts_squeeze",
    "institutional",
    "market_tide",
    "calendar_catalyst",
    "greeks_gamma",
    "ftd_pressure",
    "iv_rank",
    "oi_change",
    "etf_flow",
    "squeeze_score",
)
"""In the order in which a breakdown lists them."""


@dataclass(frozen=True, slots=True)
class Band:
    """Where a weight begins and how far learning may move it. All weights are relative: only their ratios count."""

    lowest: float = 0.25
    initial: float = 1.0
    highest: float = 2.5

    def holds(self, weight: float) -> bool:
        return math.isfinite(weight) and self.lowest <= weight <= self.highest


BANDS: Mapping[str, Band] = dict.fromkeys(COMPONENTS, Band()) | {
    # The primary evidence may grow larger; a single rare source may not carry a score.
    "options_flow": Band(0.5, 2.0, 4.0),
    "dark_pool": Band(0.25, 1.5, 3.0),
    "congress": Band(0.1, 0.5, 1.0),
    "calendar_catalyst": Band(0.1, 0.5, 1.0),
}

Weights = Mapping[str, float]


def initial_weights() -> dict[str, float]:
    """Every component at the beginning of its band."""
    return {name: BANDS[name].initial for name in COMPONENTS}


def complete(weights: Mapping[str, object]) -> tuple[dict[str, float], list[str]]:
    """All 21 weights, each inside its band, and the names that were absent or impossible and begin anew (FP-2.1)."""
    whole, renewed = {}, []
    for name in COMPONENTS:
        weight = weights.get(name)
        if isinstance(weight, int | float) and not isinstance(weight, bool) and BANDS[name].holds(weight):
            whole[name] = float(weight)
        else:
            whole[name] = BANDS[name].initial
            renewed.append(name)
    return whole, renewed
