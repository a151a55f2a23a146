"""Scores signals and remembers the newest scores, so that they can be explained."""

from collections import OrderedDict
from collections.abc import Callable

import structlog

from holdfast.scoring.v1 import scoring_pb2 as pb
from holdfast.signal.v1 import signal_pb2 as signal_pb
from holdfast_runtime.errors import Code, Refused
from holdfast_runtime.telemetry import metrics
from holdfast_scoring.domain.components import COMPONENTS, NEUTRAL, Weights
from holdfast_scoring.domain.composite import Composite, composite, shares_of
from holdfast_scoring.domain.regime import FALLBACK

KEPT_SCORES = 10_000

log = structlog.get_logger()


class Scorer:
    """Gives each signal its composite score (implements ScoringCalls)."""

    def __init__(self, weights: Callable[[], Weights]) -> None:
        self._weights = weights
        self._weighed: Weights | None = None
        self._shares: tuple[float, ...] = ()
        self._scores: OrderedDict[str, pb.Score] = OrderedDict()

    def score(self, signal: signal_pb.Signal) -> pb.Score:
        """The score of a signal. Its features named as a component are evidence for it, 0 to 1."""
        weights = self._weights()
        if weights is not self._weighed:
            self._weighed, self._shares = weights, shares_of(weights)
        found = composite(signal.strength, signal.features, self._shares, FALLBACK)
        if found.faults:
            log.warning("score.fell_back", signal_id=signal.signal_id, inputs=list(found.faults))
            metrics.QUARANTINED.labels("score", "NUMBER_MISSING").inc(len(found.faults))
        message = to_message(found)
        self._scores[signal.signal_id] = message
        self._scores.move_to_end(signal.signal_id)
        while len(self._scores) > KEPT_SCORES:
            self._scores.popitem(last=False)
        return message

    async def explain(self, request: pb.ExplainRequest) -> pb.ExplainResponse:
        """See ScoringService.Explain. Raises Refused NOT_FOUND."""
        found = self._scores.get(request.signal_id)
        if found is None:
            raise Refused(Code.NOT_FOUND, "SCORE_UNKNOWN", f"no score of {request.signal_id!r} is kept")
        return pb.ExplainResponse(score=found)


def to_message(found: Composite) -> pb.Score:
    """The score as it travels, all 21 components in it."""
    message = pb.Score()
    message.CopyFrom(_NEUTRAL)
    message.value = found.value
    message.regime = found.regime
    for component, part in zip(message.components, found.parts, strict=True):
        component.weight = part.weight
        component.contribution = part.contribution
        if not part.missing:
            component.value, component.missing = part.value, False
    return message


_NEUTRAL = pb.Score(components=[pb.Component(name=name, value=NEUTRAL, missing=True) for name in COMPONENTS])
"""Most components have no data: copying this is cheaper than writing them one by one."""
