"""Runs the gates over a batch against one version of the ledger. Pure: no clock, no I/O.

A signal stops at its first block and keeps the verdicts so far. What is allowed counts for the later ones of the batch.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from holdfast_gate.domain.signals import Candidate, Context, Direction
from holdfast_gate.gates.base import Gate, Outcome, Verdict
from holdfast_gate.registry import GATES

ALLOWED = "ALLOWED"


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """A verdict and the gate that gave it. Of a gate of the cycle it is one object for all signals."""

    gate: Gate
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Decided:
    """The outcome for one signal. `candidate` is the order as the gates settled it; `reason` ALLOWED or the block's."""

    candidate: Candidate
    allowed: bool
    reason: str
    verdicts: tuple[GateVerdict, ...]


def in_order(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The batch as it is evaluated: sales, then entries by score and id, however it came in."""
    return sorted(candidates, key=lambda each: each.rank)


class Evaluation:
    """One batch against one context. `decide` is called once for each signal, in the order of `in_order`."""

    def __init__(self, context: Context, gates: tuple[Gate, ...] = GATES) -> None:
        self._context = context
        self._gates = {
            Direction.ENTER_LONG: tuple(gate for gate in gates if gate.applies_to_entries),
            Direction.EXIT_LONG: tuple(gate for gate in gates if gate.applies_to_exits),
            Direction.REDUCE_LONG: tuple(gate for gate in gates if gate.applies_to_reductions),
        }
        self._per_cycle: dict[str, GateVerdict] = {}

    def decide(self, candidate: Candidate) -> Decided:
        """The decision on one signal; an allowed entry is counted for those that follow."""
        given: list[GateVerdict] = []
        for gate in self._gates[candidate.direction]:
            found = self._of_cycle(gate, candidate) if gate.per_cycle else self._of_signal(gate, candidate)
            given.append(found)
            verdict = found.verdict
            if verdict.outcome is Outcome.BLOCK:
                return Decided(candidate, False, verdict.reason, tuple(given))
            if verdict.candidate is not None:
                candidate = verdict.candidate
        if candidate.direction is Direction.ENTER_LONG:
            self._context = replace(self._context, allowed=self._context.allowed.plus(candidate))
        return Decided(candidate, True, ALLOWED, tuple(given))

    def _of_signal(self, gate: Gate, candidate: Candidate) -> GateVerdict:
        return GateVerdict(gate, gate.evaluate(candidate, self._context))

    def _of_cycle(self, gate: Gate, candidate: Candidate) -> GateVerdict:
        found = self._per_cycle.get(gate.name)
        if found is None:
            found = self._per_cycle[gate.name] = self._of_signal(gate, candidate)
        return found


def evaluate(candidates: Iterable[Candidate], context: Context, gates: tuple[Gate, ...] = GATES) -> list[Decided]:
    """The decisions on a whole batch, in the order in which they were taken."""
    evaluation = Evaluation(context, gates)
    return [evaluation.decide(candidate) for candidate in in_order(candidates)]
