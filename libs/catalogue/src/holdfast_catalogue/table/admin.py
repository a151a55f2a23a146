"""What admin watches: whether the others speak, and who knocks."""

from holdfast_catalogue.points import FailurePoint, Severity

POINTS: tuple[FailurePoint, ...] = (
    FailurePoint(
        id="login.refused",
        title="Wrong tokens are shown to admin",
        owner="admin",
        severity=Severity.LOW,
        covers=("SE-7",),
        detector="Refused and limited logins within the last 10 minutes: WARN from one on, ERROR from ten on.",
        why_no_healer="Who knocks is a person's business; tries are limited, and each is in the audit.",
        manual_steps=("Read the audit: from where do they come?", "Give admin a new token where it may be known."),
        proofs=("services/admin/tests/test_admin_failure_points.py::test_wrong_tokens_show_and_many_of_them_alarm",),
    ),
)

SILENT = FailurePoint(
    id="service.silent",
    title="A service does not report",
    owner="admin",
    severity=Severity.CRITICAL,
    priority="CRITICAL",
    covers=("FP-6.1", "FP-6.2", "PR-1", "MG-8"),
    detector="Age of each service's last report, as admin receives them every 5 s: ERROR beyond 15 s.",
    healer="Supervisor or kubelet restart what has crashed or is stuck.",
    heal_within_secs=15.0,
    manual_steps=("Look at the service's log: does it run, does it reach the bus?",),
    proofs=(
        "libs/catalogue/tests/test_readiness_of_all.py::test_a_service_that_stops_reporting_is_an_error_of_its_own",
        "tests/integration/test_killed_services.py::test_a_killed_process_changes_nothing",
    ),
)
"""Not watched by a sentinel: whoever gathers the reports finds it (`readiness.gather`)."""
