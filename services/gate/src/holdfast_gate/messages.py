"""Between the contract and the gates' own values. What cannot be read is refused here, naming the field."""

from collections.abc import Hashable, Iterable
from datetime import datetime
from decimal import Decimal

from holdfast.common.v1 import common_pb2 as common
from holdfast.gate.v1 import gate_pb2 as pb
from holdfast_core.money import ZERO
from holdfast_gate.domain.ledger import BOOKS
from holdfast_gate.domain.signals import Candidate, CycleFacts, Direction
from holdfast_gate.evaluator import Decided, GateVerdict
from holdfast_gate.gates.base import Gate, Outcome
from holdfast_runtime.errors import Malformed
from holdfast_runtime.wire import from_decimal, from_timestamp, require, to_timestamp

MAX_SIGNALS = 256
"""Of one cycle (the contract's bound)."""

_DIRECTIONS = {
    common.DIRECTION_ENTER_LONG: Direction.ENTER_LONG,
    common.DIRECTION_EXIT_LONG: Direction.EXIT_LONG,
    common.DIRECTION_REDUCE_LONG: Direction.REDUCE_LONG,
}
_OUTCOMES = {
    Outcome.PASS: pb.OUTCOME_PASS,
    Outcome.BLOCK: pb.OUTCOME_BLOCK,
    Outcome.SHRINK: pb.OUTCOME_SHRINK,
}


def cycle_of(request: pb.EvaluateRequest) -> CycleFacts:
    """The cycle that a request is about. Raises Malformed."""
    require(
        "EvaluateRequest",
        (
            ("cycle_id", request.cycle_id),
            ("strategy", request.strategy),
            ("market_time", request.HasField("market_time")),
            ("valid_until", request.HasField("valid_until")),
        ),
    )
    book = BOOKS.get(request.book)
    if book is None:
        raise Malformed(f"EvaluateRequest.book: {request.book} is no book")
    return CycleFacts(
        cycle_id=request.cycle_id,
        strategy=request.strategy,
        book=book,
        market_time=from_timestamp(request.market_time),
        valid_until=from_timestamp(request.valid_until),
    )


def candidates_of(request: pb.EvaluateRequest) -> list[Candidate]:
    """The signals of a request. Raises Malformed: a cycle is decided whole or not at all."""
    if len(request.signals) > MAX_SIGNALS:
        raise Malformed(f"EvaluateRequest.signals: {len(request.signals)} are more than {MAX_SIGNALS}")
    candidates = [_candidate(scored) for scored in request.signals]
    if len({each.signal_id for each in candidates}) != len(candidates):
        raise Malformed(f"EvaluateRequest.signals: {request.cycle_id} names a signal twice")
    return candidates


def _candidate(scored: pb.ScoredSignal) -> Candidate:
    signal = scored.signal
    require("Signal", (("signal_id", signal.signal_id), ("symbol", signal.symbol)))
    direction = _DIRECTIONS.get(signal.direction)
    if direction is None:
        raise Malformed(f"Signal.direction of {signal.signal_id}: {signal.direction} is no direction")
    weight = _optional(signal.target_weight, "Signal.target_weight") or ZERO
    stop_fraction = _optional(signal.stop_fraction, "Signal.stop_fraction")
    if not 0 <= weight <= 1:
        raise Malformed(f"Signal.target_weight of {signal.signal_id}: {weight} is outside 0 to 1")
    if stop_fraction is not None and not 0 < stop_fraction < 1:
        raise Malformed(f"Signal.stop_fraction of {signal.signal_id}: {stop_fraction} is outside 0 to 1")
    return Candidate(
        signal_id=signal.signal_id,
        symbol=signal.symbol,
        direction=direction,
        score=scored.score.value,
        target_weight=weight,
        signal_price=_optional(signal.reference_price, "Signal.reference_price"),
        stop_fraction=stop_fraction,
    )


def _optional(value: common.Decimal, field: str) -> Decimal | None:
    return from_decimal(value, field=field) if value.value else None


class DecisionWriter:
    """Writes the decisions of one batch."""

    def __init__(self, request: pb.EvaluateRequest, decided_at: datetime) -> None:
        self._common = pb.Decision(
            cycle_id=request.cycle_id,
            strategy=request.strategy,
            book=request.book,
            market_time=request.market_time,
            valid_until=request.valid_until,
            decided_at=to_timestamp(decided_at),
        )
        self._written: dict[Hashable, pb.Verdict] = {}

    def write(self, scored: pb.ScoredSignal, decided: Decided, decision: pb.Decision) -> None:
        """Fills one decision in, with every verdict up to the first block."""
        signal = scored.signal
        decision.CopyFrom(self._common)
        decision.signal_id = signal.signal_id
        decision.symbol = signal.symbol
        decision.direction = signal.direction
        decision.strength = signal.strength
        decision.traceparent = signal.traceparent
        decision.allowed = decided.allowed
        decision.reason = decided.reason
        decision.score.CopyFrom(scored.score)
        decision.verdicts.extend([self._verdict(given) for given in decided.verdicts])
        order = decided.candidate
        if order.basis is not None:
            decision.reference_price.value = format(order.basis.price, "f")
        if decided.allowed:
            decision.quantity.value = format(order.quantity, "f")
            if order.limit_price is not None:
                decision.limit_price.value = format(order.limit_price, "f")
            if order.stop_price is not None:
                decision.stop_price.value = format(order.stop_price, "f")

    def _verdict(self, given: GateVerdict) -> pb.Verdict:
        # Most verdicts are alike for many signals of a batch, and copying a message is cheaper than writing it.
        verdict = given.verdict
        alike = (given.gate.name, verdict.outcome, verdict.reason, verdict.message, *verdict.numbers.items())
        written = self._written.get(alike)
        if written is None:
            written = self._written[alike] = pb.Verdict(
                gate=given.gate.name,
                outcome=_OUTCOMES[verdict.outcome],
                reason=verdict.reason,
                message=verdict.message,
                numbers=verdict.numbers,
            )
        return written


def in_brief(decision: pb.Decision) -> pb.Decision:
    """What became of a signal, without the numbers behind it."""
    return pb.Decision(signal_id=decision.signal_id, allowed=decision.allowed, reason=decision.reason)


def descriptions(gates: Iterable[Gate]) -> pb.ListGatesResponse:
    """The registry for people to read, in its order."""
    return pb.ListGatesResponse(
        gates=[
            pb.GateDescription(
                name=gate.name, title=gate.title, priority=gate.priority, applies_to_exits=gate.applies_to_exits
            )
            for gate in gates
        ]
    )
