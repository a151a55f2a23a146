"""What scoring's sentinel looks at: cycles on their way to a decision."""

from collections.abc import Callable

from holdfast_catalogue.gauges import Growth, total
from holdfast_catalogue.registry import point
from holdfast_catalogue.sentinel import Watch
from holdfast_catalogue.standing import Finding, error, ok, warn
from holdfast_core.ids import TRIAL
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.telemetry import metrics
from holdfast_scoring.consumer import CONSUMER, CycleConsumer
from holdfast_scoring.weights import WeightKeeper

WAITS_TO_WARN_SECS, WAITS_TO_ALARM_SECS = 5.0, 30.0
LATELY_SECS = 300.0
EXPIRED_TO_ALARM = 5
UNDECIDABLE_FOR_SECS = 3_600.0
WEIGHTS_AGE_SECS = 10.0


def watches(*, consumer: CycleConsumer, weights: WeightKeeper, monotonic: MonotonicClock) -> list[Watch]:
    """One watch for each of scoring's points."""
    return [
        Watch(point=point("chain.away"), detect=lambda: _chain_away(consumer, monotonic)),
        Watch(point=point("cycles.expired"), detect=_expired(monotonic)),
        Watch(point=point("cycle.undecidable"), detect=_undecidable(monotonic)),
        Watch(point=point("score.failing"), detect=_score_failing(monotonic)),
        Watch(point=point("weights.unread"), detect=lambda: _weights_unread(weights, monotonic)),
    ]


def _chain_away(consumer: CycleConsumer, monotonic: MonotonicClock) -> Finding:
    since_secs = consumer.waiting_since_secs
    if since_secs is None:
        return ok("no cycle waits", waits_secs="0")
    secs = monotonic.now_secs() - since_secs
    text = f"a cycle has waited for {secs:.0f} s: {consumer.waiting_for}"
    if secs >= WAITS_TO_ALARM_SECS:
        return error(text, waits_secs=f"{secs:.0f}")
    return warn(text, waits_secs=f"{secs:.0f}") if secs >= WAITS_TO_WARN_SECS else ok(text, waits_secs=f"{secs:.0f}")


def _expired(monotonic: MonotonicClock) -> Callable[[], Finding]:
    def came_late() -> float:
        # A trial's validity is over before it is sent.
        trials = total(metrics.CYCLES, strategy=TRIAL, outcome="expired")
        return total(metrics.CYCLES, outcome="expired") - trials

    cycles = Growth(came_late, monotonic, within_secs=LATELY_SECS)

    def detect() -> Finding:
        count = cycles()
        text = f"cycles that came too late lately: {count:.0f}"
        if count >= EXPIRED_TO_ALARM:
            return error(text, cycles=f"{count:.0f}")
        return warn(text, cycles=f"{count:.0f}") if count else ok("every cycle came in time", cycles="0")

    return detect


def _undecidable(monotonic: MonotonicClock) -> Callable[[], Finding]:
    letters = Growth(
        lambda: total(metrics.BUS_DEAD_LETTERS, stream=CONSUMER.stream, consumer=CONSUMER.name),
        monotonic,
        within_secs=UNDECIDABLE_FOR_SECS,
    )

    def detect() -> Finding:
        count = letters()
        text = f"{count:.0f} cycles put aside within the last hour"
        return error(text, cycles=f"{count:.0f}") if count else ok("none was put aside", cycles="0")

    return detect


def _score_failing(monotonic: MonotonicClock) -> Callable[[], Finding]:
    inputs = Growth(lambda: total(metrics.QUARANTINED, source="score"), monotonic, within_secs=LATELY_SECS)

    def detect() -> Finding:
        count = inputs()
        text = f"{count:.0f} inputs of scores were no numbers lately"
        return warn(text, inputs=f"{count:.0f}") if count else ok("every input is a number", inputs="0")

    return detect


def _weights_unread(weights: WeightKeeper, monotonic: MonotonicClock) -> Finding:
    if weights.read_at_secs is None:
        return warn("they were not read yet: the initial ones are in use")
    secs = monotonic.now_secs() - weights.read_at_secs
    text = f"read {secs:.0f} s ago"
    return warn(text, age_secs=f"{secs:.0f}") if secs > WEIGHTS_AGE_SECS else ok(text, age_secs=f"{secs:.0f}")
