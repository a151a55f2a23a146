"""What every service watches in its own process."""

from holdfast_catalogue.points import EVERY_SERVICE, FailurePoint, Severity

_CERTIFICATES = "libs/runtime/tests/test_certificates_are_exchanged.py"
_LOGS = "libs/runtime/tests/test_logs_survive_their_sinks.py"
_TESTS = "libs/catalogue/tests/test_process_watches.py"

POINTS: tuple[FailurePoint, ...] = (
    FailurePoint(
        id="bus.away",
        title="The bus cannot be reached",
        owner=EVERY_SERVICE,
        severity=Severity.CRITICAL,
        covers=("IN-5", "FP-6.6", "NW-1", "MG-7", "HG-5"),
        detector="The connection to NATS, and whether it confirms this process's own reports, sent every 5 s: WARN "
        "while not, ERROR after 3 s.",
        healer="The connection is tried again every 0.2 s for ever, and built anew where the client gave up; streams "
        "that were lost are created again, and what was not published waits where it is kept.",
        heal_within_secs=30.0,
        manual_steps=("Look whether NATS runs and whether its address and token are right.", "Start it again."),
        proofs=(
            f"{_TESTS}::test_a_bus_that_is_away_is_an_error_until_it_is_back",
            "tests/contract/test_nats_bus.py::test_a_connection_that_the_client_gave_up_is_built_anew",
            "tests/integration/test_killed_services.py::test_a_killed_process_changes_nothing",
        ),
    ),
    FailurePoint(
        id="bus.full",
        title="A stream of the bus is filling up",
        owner=EVERY_SERVICE,
        severity=Severity.HIGH,
        covers=("DI-7", "IN-10"),
        detector="How full each stream is, measured every 30 s: WARN from 80 %, ERROR from 98 %; a full one refuses.",
        healer="Retention: what is older than the stream's bound makes room.",
        heal_within_secs=120.0,
        manual_steps=("Find who publishes so much.", "Raise the stream's maximum in the table, `holdfast bus apply`."),
        proofs=(f"{_TESTS}::test_a_filling_stream_warns_and_a_full_one_is_an_error",),
    ),
    FailurePoint(
        id="edge.cut",
        title="Something this service needs is missing or in doubt",
        owner=EVERY_SERVICE,
        severity=Severity.CRITICAL,
        covers=("IN-8", "IN-5", "PT-9", "BR-4", "SE-1"),
        detector="The service's own look at its edges, at start, 15 minutes before each open and on demand: the "
        "services it calls under its own identity, NATS with its streams and buckets, ledger, broker and streams with "
        "authentication, clocks, calendar, certificates, secrets, disk. ERROR while one is RED, WARN while one is in "
        "doubt.",
        healer="Whoever owns the edge connects again for ever; what is not OK is looked at after 2 s, 4 s … 60 s.",
        heal_within_secs=30.0,
        manual_steps=("Run `holdfast doctor`, or look at the page Doctor: it names the edge and what to do.",),
        proofs=(
            f"{_TESTS}::test_an_edge_that_is_cut_is_an_error_with_its_name",
            "libs/catalogue/tests/test_doctor_examines.py::test_what_is_not_well_is_examined_again_until_it_is",
            "tests/integration/test_doctor.py::test_the_doctor_finds_all_well_and_names_an_edge_that_is_cut",
        ),
    ),
    FailurePoint(
        id="service.crashing",
        title="A service crashes again and again",
        owner=EVERY_SERVICE,
        severity=Severity.HIGH,
        covers=("FP-6.2", "PR-1"),
        detector="Crashes of the service within the last 10 minutes, kept with their causes over its restarts: shown "
        "from one on, ERROR from three on.",
        healer="Supervisor or kubelet restart it with growing pauses; its state is in the ledger and in streams.",
        heal_within_secs=60.0,
        manual_steps=(
            "Read the cause here, and the service's log before its last end.",
            "Where it began with a release, go back to the one before.",
        ),
        proofs=(
            f"{_TESTS}::test_crashes_are_counted_with_their_cause_and_alarm_when_they_persist",
            "libs/runtime/tests/test_starts_are_counted.py::test_a_process_that_was_killed_is_counted_by_the_next_one",
        ),
    ),
    FailurePoint(
        id="loop.stuck",
        title="A loop makes no progress",
        owner=EVERY_SERVICE,
        severity=Severity.CRITICAL,
        priority="CRITICAL",
        covers=("FP-6.3", "PR-4", "MG-8"),
        detector="Age of the last completed turn of each loop: WARN from half of its bound, ERROR beyond it (30 s).",
        healer="Liveness fails with it: the supervisor, or the kubelet, kills the process and starts it again.",
        heal_within_secs=30.0,
        manual_steps=("Read the service's log around the last turn.", "Restart the service."),
        proofs=(f"{_TESTS}::test_a_loop_without_a_turn_is_late_then_stuck",),
    ),
    FailurePoint(
        id="loop.failing",
        title="A loop fails again and again",
        owner=EVERY_SERVICE,
        severity=Severity.HIGH,
        covers=("CQ-1", "PR-2"),
        detector="Failures of supervised loops within the last 60 s: WARN from one on, ERROR from five on.",
        healer="The supervised loop starts again with backoff; after 20 failures in a row the process ends and its "
        "controller starts it again.",
        heal_within_secs=60.0,
        manual_steps=("Look for `loop.failed` in the service's log: it holds the failure.",),
        proofs=(f"{_TESTS}::test_failures_of_a_loop_show_until_it_has_run_well_for_a_minute",),
    ),
    FailurePoint(
        id="secrets.kept",
        title="A mounted secret or certificate cannot be used any more",
        owner=EVERY_SERVICE,
        severity=Severity.HIGH,
        covers=("IN-6", "SE-1", "SE-4", "PT-4"),
        detector="The last refresh of the mounted secrets and of the certificate, every 30 s: ERROR while one is gone "
        "or unusable, or the bus refuses the new certificate.",
        healer="The last good value stays in use, and the files are read again.",
        max_attempts=3,
        manual_steps=("Put the secret back where the service reads it; no restart is needed.",),
        proofs=(
            f"{_TESTS}::test_a_secret_that_is_gone_is_kept_told_and_healed_by_reading_it_again",
            "libs/runtime/tests/test_secrets_are_read_and_never_shown.py::test_the_last_good_value_outlives_its_place",
            f"{_CERTIFICATES}::test_what_cannot_be_used_is_told_and_the_last_good_one_goes_on",
        ),
    ),
    FailurePoint(
        id="access.denied",
        title="Somebody tried what he may not",
        owner=EVERY_SERVICE,
        severity=Severity.HIGH,
        covers=("IN-4", "SE-3", "SE-5", "SE-7"),
        detector="Calls denied to their callers, and subjects that the bus has denied to this service, within the last "
        "10 minutes: ERROR from one on.",
        why_no_healer="A service never asks for what it may not do: either its rights are wrong, or somebody else has "
        "its certificate. Both are a person's business; what was denied has not happened.",
        manual_steps=(
            "Read `rpc.denied` and `bus.denied` in the service's log: who asked for what?",
            "Look whether pods of two releases run beside each other.",
            "Where nobody can explain it: engage the kill switch, and give the service a new certificate.",
        ),
        proofs=(
            f"{_TESTS}::test_what_was_denied_alarms_for_ten_minutes",
            "tests/contract/test_bus_permissions.py::test_what_is_not_a_services_own_is_denied_counted_and_told",
            "libs/runtime/tests/test_calls_over_grpc.py::test_only_the_gate_may_submit",
        ),
    ),
    FailurePoint(
        id="telemetry.dropping",
        title="Logs or traces are lost",
        owner=EVERY_SERVICE,
        severity=Severity.LOW,
        priority="LOW",
        covers=("CQ-5", "IN-10", "PT-8"),
        detector="Dropped log lines and spans within the last 60 s: WARN from one on.",
        healer="The sink that is left goes on, and the lost one is tried again with each line; trading is not held up.",
        heal_within_secs=300.0,
        manual_steps=("Look at the disk and at the collector of traces.",),
        proofs=(
            f"{_TESTS}::test_lost_log_lines_warn",
            f"{_LOGS}::test_a_full_disk_falls_back_to_stderr_is_said_once_and_counted",
        ),
    ),
    FailurePoint(
        id="disk.low",
        title="The disk is full or cannot be written",
        owner=EVERY_SERVICE,
        severity=Severity.CRITICAL,
        covers=("FP-6.4", "FI-1", "FI-2", "BS-7", "MG-6", "HG-4"),
        detector="Free space and permission of the state folder: WARN below 2 GiB and a fifth, ERROR below 256 MiB or "
        "not writable.",
        healer="The older halves of rotated logs and traces are deleted.",
        max_attempts=2,
        manual_steps=("Free space on the disk of the state folder, or give the folder back to the service's user.",),
        proofs=(
            f"{_TESTS}::test_a_full_disk_is_cleaned_of_old_telemetry_and_looked_at_again",
            f"{_TESTS}::test_a_folder_that_cannot_be_written_is_told_with_its_path",
        ),
    ),
    FailurePoint(
        id="memory.high",
        title="Memory or open files run out",
        owner=EVERY_SERVICE,
        severity=Severity.HIGH,
        covers=("FP-6.5", "CQ-8", "PR-3"),
        detector="Memory and open files of the process against their limits: WARN from 80 %, ERROR from 95 %.",
        healer="The process ends in order and its controller starts it again, before the system would kill it.",
        max_attempts=1,
        manual_steps=("Raise the limit of the service, and report the leak with its metrics.",),
        proofs=(f"{_TESTS}::test_a_process_out_of_memory_is_restarted_in_order_once",),
    ),
)
