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
    FailurePoint(
        id="release.drifted",
        title="The cluster does not hold what the release says",
        owner="admin",
        severity=Severity.HIGH,
        covers=("IN-7",),
        detector="Every minute in a cluster: the release's workloads, configuration, Services, Roles, RoleBindings and "
        "network policies beside what the release says: WARN where one differs, or where another policy opens "
        "more, ERROR where the next look finds it too, or where pods are not ready for 10 minutes.",
        why_no_healer="Who changed it may have meant it, and nothing in the product may change or delete workloads. A "
        "rollout that fails leaves the pods of the version before, which trade on.",
        manual_steps=(
            "Apply the release again, with its own values: helm upgrade. Or undo the change by hand that it names.",
            "What was added stays through an upgrade: kubectl set env WORKLOAD NAME- (a variable), kubectl edit.",
            "A network policy that is not as before after it: kubectl delete networkpolicy NAME, and upgrade again.",
            "A network policy that is meant to be there beside the release's: name it in networkPolicy.others.",
            "After a rollout that failed: helm rollback; the version before has gone on trading.",
        ),
        proofs=(
            "services/admin/tests/test_release_drift.py::test_a_change_by_hand_is_an_error_that_names_it",
            "services/admin/tests/test_release_drift.py::test_a_variable_changed_by_hand_is_named_but_not_its_value",
            "services/admin/tests/test_release_drift.py::test_a_pod_that_a_hand_runs_otherwise_is_named_with_its_part",
            "services/admin/tests/test_release_drift.py::test_a_service_or_a_right_changed_by_hand_is_named",
            "services/admin/tests/test_release_drift.py::test_a_policy_that_was_changed_by_hand_is_named_with_its_part",
            "services/admin/tests/test_release_drift.py::test_a_failed_rollout_is_told_and_the_old_version_trades_on",
        ),
    ),
)

SILENT = FailurePoint(
    id="service.silent",
    title="A service does not report",
    owner="admin",
    severity=Severity.CRITICAL,
    priority="CRITICAL",
    covers=("FP-6.1", "FP-6.2", "FP-5.1", "FP-5.2", "FP-5.4", "SE-4", "PR-1", "MG-8"),
    detector="Age of each service's last report, as admin receives them every 5 s: ERROR beyond 15 s.",
    healer="Supervisor or kubelet restart what has crashed or is stuck.",
    heal_within_secs=15.0,
    manual_steps=(
        "Look at the service's log: does it run, does it reach the bus?",
        "Read its last words, in a cluster its termination message: they name a refused configuration or a lost file.",
    ),
    proofs=(
        "libs/catalogue/tests/test_readiness_of_all.py::test_a_service_that_stops_reporting_is_an_error_of_its_own",
        "tests/integration/test_killed_services.py::test_a_killed_process_changes_nothing",
        "tests/integration/test_bad_start.py::test_a_strategy_that_looks_back_too_far_ends_the_stack",
    ),
)
"""Not watched by a sentinel: whoever gathers the reports finds it (`readiness.gather`)."""
