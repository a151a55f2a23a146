"""What scoring watches: cycles on their way to a decision."""

from holdfast_catalogue.points import FailurePoint, Severity

_TESTS = "services/scoring/tests/test_scoring_failure_points.py"
_CONSUMER = "services/scoring/tests/test_cycle_consumer.py"

POINTS: tuple[FailurePoint, ...] = (
    FailurePoint(
        id="chain.away",
        title="Cycles wait for a decision",
        owner="scoring",
        severity=Severity.CRITICAL,
        covers=("NW-1", "IN-2"),
        detector="How long the present cycle has waited for gate or execution: WARN from 5 s, ERROR from 30 s.",
        healer="It is asked again with backoff, and the cycle is not acknowledged before it is decided.",
        heal_within_secs=60.0,
        manual_steps=("Look at gate and execution: which of them is not ready, and why?",),
        proofs=(
            f"{_TESTS}::test_a_chain_that_is_away_shows_until_it_answers",
            f"{_CONSUMER}::test_a_chain_that_is_away_for_minutes_loses_no_cycle",
        ),
    ),
    FailurePoint(
        id="cycles.expired",
        title="Cycles come too late to be traded",
        owner="scoring",
        severity=Severity.HIGH,
        covers=("IN-2", "BS-3"),
        detector="Cycles decided as expired within the last 5 minutes: WARN from one on, ERROR from five on.",
        why_no_healer="Their time is past: a late signal is not traded. What delayed them is a point of its own.",
        manual_steps=("Look at chain.away and bus.away, and at the stages of a trade: `holdfast trace <signal>`.",),
        proofs=(f"{_TESTS}::test_an_expired_cycle_shows", f"{_CONSUMER}::test_an_expired_cycle_is_decided_too"),
    ),
    FailurePoint(
        id="cycle.undecidable",
        title="A cycle was put aside undecided",
        owner="scoring",
        severity=Severity.HIGH,
        covers=("DI-3", "DC-2"),
        detector="Dead letters of the cycles' consumer within the last hour: ERROR from one on.",
        why_no_healer="A message that cannot be read, or that is refused each time, stays so: it is kept with "
        "its reason.",
        manual_steps=("Read the dead letter: its reason names the field or the refusal.",),
        proofs=(
            f"{_TESTS}::test_a_malformed_cycle_shows_as_undecidable",
            f"{_CONSUMER}::test_a_malformed_message_is_kept_with_its_reason_and_the_next_one_is_decided",
        ),
    ),
    FailurePoint(
        id="score.failing",
        title="Scores fall back to neutral",
        owner="scoring",
        severity=Severity.LOW,
        covers=("FP-2.2", "FP-2.4"),
        detector="Inputs of scores that are no numbers within the last 5 minutes: WARN from one on.",
        healer="The component counts as missing and neutral; the score stands on the others.",
        heal_within_secs=600.0,
        manual_steps=("Look at `score.fell_back` in the log: it names signal and input; correct the strategy.",),
        proofs=(
            f"{_TESTS}::test_a_feature_that_is_no_number_shows",
            "services/scoring/tests/test_composite_score.py::test_what_is_no_number_falls_back_to_neutral_and_is_told",
        ),
    ),
    FailurePoint(
        id="weights.unread",
        title="Adaptive weights cannot be read",
        owner="scoring",
        severity=Severity.LOW,
        covers=("FP-2.1", "CF-2"),
        detector="Age of the last reading of the weights: WARN from 10 s or before the first one.",
        healer="They are read again every 2 s, and what is missing begins with its initial value.",
        heal_within_secs=120.0,
        manual_steps=("Look at bus.away.",),
        proofs=(
            f"{_TESTS}::test_weights_that_cannot_be_read_show",
            "services/scoring/tests/test_weight_keeper.py::test_what_is_missing_or_impossible_begins_anew",
        ),
    ),
)
