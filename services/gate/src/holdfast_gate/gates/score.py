"""SCORE_LOW."""

from holdfast_gate.domain.signals import Candidate, Context
from holdfast_gate.gates.base import Gate, Verdict, blocked, passed


class ScoreHigh(Gate):
    """The composite score reaches the entry threshold; one that is no number does not."""

    name = "score"
    title = "Score above the entry threshold"
    requirements = ("FP-3.8",)

    def evaluate(self, signal: Candidate, context: Context) -> Verdict:
        threshold = context.rules.entry_threshold
        numbers = {"score": f"{signal.score:.4f}", "threshold": f"{threshold:g}"}
        # NaN compares as false, so it blocks.
        if signal.score >= threshold:
            return passed(numbers)
        return blocked("SCORE_LOW", "The score is below the entry threshold.", numbers)
