"""What reconciliation watches: its own verdicts."""

from holdfast_catalogue.points import FailurePoint, Severity

_TESTS = "services/reconciliation/tests/test_reconciliation_failure_points.py"
_ROUNDS = "services/reconciliation/tests/test_reconciliation_rounds.py"

POINTS: tuple[FailurePoint, ...] = (
    FailurePoint(
        id="reconciliation.discrepant",
        title="Ledger and broker differ",
        owner="reconciliation",
        severity=Severity.CRITICAL,
        priority="P0",
        covers=("FP-4.5", "BR-6", "DI-4", "DC-1"),
        detector="The newest verdict: ERROR while it is discrepant.",
        healer="Execution takes over what the broker's evidence proves, and the sides are compared again; what nothing "
        "explains is halted, and entries stay blocked.",
        heal_within_secs=60.0,
        manual_steps=(
            "Look at the discrepancies in admin: each names both values.",
            "Find out who traded on the account: take over what the broker rightly holds with `holdfast claim`.",
            "Or set it right at the broker, and clear the halt: the next comparison has to be clean.",
        ),
        proofs=(
            f"{_TESTS}::test_a_difference_that_nothing_explains_is_an_error_until_it_is_gone",
            f"{_ROUNDS}::test_a_lost_fill_is_taken_over_by_execution_and_compared_again",
        ),
    ),
    FailurePoint(
        id="reconciliation.stale",
        title="The last clean comparison is too old",
        owner="reconciliation",
        severity=Severity.CRITICAL,
        covers=("FP-4.5", "IN-3"),
        detector="Market-time age of the last clean verdict: WARN before the first one, ERROR where it is older than "
        "entries may be taken by (in session) or than two rounds (out of session), for 5 s; or where a round waits for "
        "execution for 30 s, with its reason.",
        healer="Rounds go on, with backoff while the broker or execution is away.",
        heal_within_secs=60.0,
        manual_steps=(
            "Look at reconciliation.broker_unreachable and at execution's lease.",
            "A ledger's database that answers but takes nothing: look whether its disk is full.",
        ),
        proofs=(
            f"{_TESTS}::test_a_clean_verdict_grows_old_when_no_round_follows",
            f"{_TESTS}::test_a_round_that_execution_cannot_store_is_an_error_that_says_why_until_it_is",
        ),
    ),
    FailurePoint(
        id="reconciliation.broker_unreachable",
        title="Reconciliation cannot read the broker",
        owner="reconciliation",
        severity=Severity.CRITICAL,
        priority="CRITICAL",
        covers=("FP-4.1", "BR-8", "EX-1", "EX-4", "MG-1"),
        detector="The newest verdict: ERROR while it says that the broker could not be read.",
        healer="Tried again with backoff up to 30 s, on monotonic time, and compared as soon as it answers.",
        heal_within_secs=60.0,
        manual_steps=("Look at the broker's status page, the network and the credentials.",),
        proofs=(
            f"{_TESTS}::test_a_broker_that_cannot_be_read_is_an_error_until_it_answers",
            f"{_ROUNDS}::test_it_compares_as_soon_as_the_broker_is_back_without_market_time_moving",
        ),
    ),
)
