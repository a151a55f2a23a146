"""What execution watches: the lease, the broker session, orders, protection and the ledger."""

from holdfast_catalogue.points import FailurePoint, Severity

_TESTS = "services/execution/tests/test_execution_failure_points.py"
_RECOVERY = "services/execution/tests/test_engine_recovery.py"
_BREAKER = "libs/venue/tests/test_venue_circuit_breaker.py"
_EXITS = "services/execution/tests/test_engine_exits.py"
_TIMED = "services/execution/tests/test_timed_trades.py"
_RELEASES = "services/execution/tests/test_releases_that_do_not_fit.py"

POINTS: tuple[FailurePoint, ...] = (
    FailurePoint(
        id="lease.lost",
        title="Nobody can act for the account",
        owner="execution",
        severity=Severity.CRITICAL,
        covers=("CQ-2", "SQ-5"),
        detector="The account's lease as this process sees it: WARN while nobody holds it or the holder's beats do not "
        "commit, ERROR after 5 s.",
        healer="A standby, or the restarted process, takes the lease over 3 s after the last beat.",
        heal_within_secs=30.0,
        manual_steps=("Look whether the ledger's database answers.", "Look whether an execution process runs at all."),
        proofs=(
            f"{_TESTS}::test_a_lease_that_nobody_holds_is_an_error_until_it_is_taken",
            f"{_RECOVERY}::test_a_standby_takes_over_and_the_former_holder_writes_nothing_more",
        ),
    ),
    FailurePoint(
        id="lease.standby",
        title="This process stands by",
        owner="execution",
        severity=Severity.LOW,
        covers=("CQ-2",),
        detector="Whether another process holds the account's lease: WARN while it does, naming it.",
        why_no_healer="One active writer per account is the rule; this one takes over when the holder's beats stop.",
        intentional=True,
        proofs=(f"{_TESTS}::test_a_standby_names_the_holder_and_does_not_alarm",),
    ),
    FailurePoint(
        id="entries.locked",
        title="Execution takes no entries",
        owner="execution",
        severity=Severity.CRITICAL,
        covers=("SQ-9", "DI-4", "BR-8"),
        detector="The lock of entries under the lease: WARN while there is one, ERROR after 10 s; it names its reason.",
        healer="The lock ends with the merge of the broker's word, or with the next clean comparison.",
        heal_within_secs=60.0,
        manual_steps=("Look at the reason: STARTING and RECONNECTING need the broker, DISCREPANT a clean comparison.",),
        proofs=(
            f"{_TESTS}::test_a_stream_that_is_down_locks_entries_and_shows_until_it_is_back",
            f"{_RECOVERY}::test_entries_wait_while_the_stream_is_rebuilt_and_go_on_after",
        ),
    ),
    FailurePoint(
        id="broker.stream_down",
        title="The broker's order updates are cut off",
        owner="execution",
        severity=Severity.CRITICAL,
        priority="CRITICAL",
        covers=("FP-4.1", "BR-8", "EX-4", "NW-1", "MG-1"),
        detector="The trade-updates stream under the lease: WARN while it is down, ERROR after 5 s.",
        healer="Connected again with backoff, also where it is silent; what was missed is merged from the "
        "broker's lists "
        "before anything else is believed. Entries are locked meanwhile, stops rest at the broker.",
        heal_within_secs=60.0,
        manual_steps=("Look at the broker's status page and at the network.",),
        proofs=(
            f"{_TESTS}::test_a_stream_that_is_down_locks_entries_and_shows_until_it_is_back",
            f"{_RECOVERY}::test_dropped_updates_are_made_good_by_the_reconnect",
        ),
    ),
    FailurePoint(
        id="broker.circuit_open",
        title="The broker does not answer: reducing orders only",
        owner="execution",
        severity=Severity.HIGH,
        covers=("BR-8", "BR-2"),
        detector="The circuit breaker before the broker's REST, open after five requests in a row without an answer of "
        "the broker's own: WARN while it is open, ERROR after 30 s.",
        healer="A heartbeat asks every 1 to 15 s, and the first answer closes it. Meanwhile stops, cancels and exits "
        "are still tried, and entries wait in the ledger while they are valid.",
        heal_within_secs=60.0,
        manual_steps=("Look at the broker's status page (maintenance?) and at the network.",),
        proofs=(
            f"{_TESTS}::test_an_open_circuit_shows_until_the_broker_answers",
            f"{_BREAKER}::test_over_the_wire_entries_stop_cancels_go_on_and_the_heartbeat_resumes",
        ),
    ),
    FailurePoint(
        id="credentials.refused",
        title="The broker refuses the credentials",
        owner="execution",
        severity=Severity.CRITICAL,
        priority="CRITICAL",
        covers=("FP-4.2", "BR-4", "SQ-3", "EX-2", "CF-4"),
        detector="The door to the broker: ERROR once it has answered 401.",
        why_no_healer="No program may try refused credentials again: that could lock the account.",
        manual_steps=(
            "Give the account's new key and secret.",
            "Clear the halt of kind `credentials` in admin: the door opens and everything is compared.",
        ),
        proofs=(f"{_TESTS}::test_refused_credentials_are_an_error_until_a_person_clears_the_halt",),
    ),
    FailurePoint(
        id="order.unknown",
        title="The outcome of an order is not known",
        owner="execution",
        severity=Severity.HIGH,
        priority="P0",
        covers=("SQ-1", "SQ-4", "BR-2", "BR-5", "BS-4", "EX-1", "EX-5", "PT-3"),
        detector="Intents in state UNKNOWN: WARN while there is one, ERROR where there has been one for 60 s.",
        healer="It is looked up by its client order id with backoff: found, it is adopted; absent and still "
        "valid, it is "
        "sent again under the same id, at most three times; then only read until its absence is proven.",
        heal_within_secs=60.0,
        manual_steps=("Look the client order id up at the broker.", "Look at broker.stream_down and the network."),
        proofs=(
            f"{_TESTS}::test_a_lost_answer_shows_until_the_order_is_found",
            f"{_RECOVERY}::test_a_crash_between_sending_and_the_answer_leaves_one_order",
        ),
    ),
    FailurePoint(
        id="order.rejected",
        title="The broker rejects orders",
        owner="execution",
        severity=Severity.LOW,
        covers=("FP-4.4", "SQ-2"),
        detector="Rejected orders within the last 5 minutes: WARN from one on, ERROR from five on.",
        healer="The reason is kept and classified: a refused entry is shrunk once where funds are short, skipped where "
        "nothing would help, else tried again, at most three times; a refused sale or stop gets its next leg.",
        heal_within_secs=600.0,
        manual_steps=("Read the orders' reasons in admin: funds, session, asset, or type.",),
        proofs=(f"{_TESTS}::test_a_rejected_order_shows_for_a_while",),
    ),
    FailurePoint(
        id="position.unprotected",
        title="A position has no active stop",
        owner="execution",
        severity=Severity.CRITICAL,
        priority="P0",
        covers=("TL-9", "SQ-7"),
        detector="Held quantity that no live stop covers: WARN at once, ERROR where it lasts longer than the "
        "bound (5 s) and "
        "no sale is under way, or where a sale has been under way for 30 s.",
        healer="The protective lane places the stop again without end, with backoff, and flattens where the "
        "stop price has "
        "been traded through or a stop's outcome stays unknown.",
        heal_within_secs=15.0,
        manual_steps=(
            "Place a stop at the broker, or sell the position there.",
            "Look at the order's reasons in admin.",
        ),
        proofs=(
            f"{_TESTS}::test_a_position_whose_stop_is_gone_shows_until_one_is_active",
            f"{_EXITS}::test_a_stop_that_ended_is_placed_again",
            f"{_EXITS}::test_an_unknown_stop_is_flattened_after_five_seconds",
        ),
    ),
    FailurePoint(
        id="position.flattened",
        title="A position was sold because it could not be protected",
        owner="execution",
        severity=Severity.HIGH,
        priority="P0",
        covers=("TL-9", "SQ-7"),
        detector="Fills of sales by the stop monitor or the protective lane: ERROR for five minutes after each.",
        why_no_healer="The position is gone: a person finds out why its stop did not do.",
        manual_steps=(
            "Look at the sale's reason in admin: a stop unfilled, refused, or of unknown outcome.",
            "Look at the broker's status and at the market's gap.",
        ),
        proofs=(f"{_TESTS}::test_a_flattened_position_is_told_at_once_and_shows_for_a_while",),
    ),
    FailurePoint(
        id="schedule.late",
        title="A timed trade was late or missed",
        owner="execution",
        severity=Severity.HIGH,
        covers=("IN-3", "SQ-13", "SQ-9"),
        detector="Timed trades that were settled within the last 5 minutes: ERROR where a sale ran after its grace, or "
        "where the grace of a buy ended without a decision.",
        healer="The sale runs at once, or at the next open; a buy is skipped: it is not traded late.",
        heal_within_secs=600.0,
        manual_steps=(
            "Look at the log for `timed_trade.settled`: which firing was it?",
            "A late sale: look why nobody held the lease at its time, and whether the position is sold by now.",
            "A missed buy: look at feed.stale and bus.away, and whether signal and scoring ran at its time.",
        ),
        proofs=(
            f"{_TIMED}::test_a_missed_sale_runs_late_at_the_next_start_and_alarms",
            f"{_TIMED}::test_a_buy_that_no_decision_came_of_is_skipped_and_alarms",
        ),
    ),
    FailurePoint(
        id="strategy.aborted",
        title="A strategy is aborted for safety",
        owner="execution",
        severity=Severity.HIGH,
        covers=("SQ-1", "SQ-3", "SQ-8"),
        detector="Strategies whose state is failed, and open halts of kind safety_abort: ERROR while there is one, "
        "naming strategies and reasons.",
        why_no_healer="An order of it could not be settled in its bounds, or its stored state cannot be read: a person "
        "looks before it enters again. Stops go on.",
        manual_steps=("Look at the order in admin and at the broker.", "Start the strategy with a note."),
        proofs=(f"{_TESTS}::test_a_safety_abort_is_an_error_until_a_person_starts_the_strategy",),
    ),
    FailurePoint(
        id="halt.standing",
        title="Something unexplained is halted",
        owner="execution",
        severity=Severity.CRITICAL,
        covers=("FP-4.5",),
        detector="Open halts besides the kill switch, credentials and safety aborts: WARN where they hold a symbol "
        "or a strategy, ERROR where they hold the account.",
        why_no_healer="Something on the account is not ours or not explained: a person decides what it is.",
        manual_steps=(
            "Look at the foreign order or the difference.",
            "Take over what the broker holds with `holdfast claim`, or set it right there and clear the halt.",
        ),
        proofs=(
            f"{_TESTS}::test_a_foreign_order_shows_as_a_standing_halt",
            f"{_RECOVERY}::test_a_foreign_order_halts_its_symbol",
        ),
    ),
    FailurePoint(
        id="outbox.behind",
        title="Facts are not published",
        owner="execution",
        severity=Severity.LOW,
        covers=("FP-6.6", "SY-4"),
        detector="The oldest fact that is not published: WARN where it has been the same one for 10 s, ERROR for 60 s.",
        healer="Facts wait in the ledger, and go out in order when the bus is back.",
        heal_within_secs=60.0,
        manual_steps=("Look at bus.away and bus.full. The ledger itself is whole.",),
        proofs=(f"{_TESTS}::test_facts_that_wait_for_the_bus_show_until_they_are_out",),
    ),
    FailurePoint(
        id="ledger.incompatible",
        title="Ledger or gate are of another release",
        owner="execution",
        severity=Severity.CRITICAL,
        covers=("SQ-8", "DI-3", "FP-5.3"),
        detector="The ledger's revision and the oldest program it allows, every minute: ERROR where they "
        "exclude this one or "
        "the ledger cannot be read; and batches of the last 5 minutes whose gate speaks another revision.",
        why_no_healer="A newer program has changed the ledger, its database is gone, or a rollout stands still half "
        "way: only its operator can tell which. Entries are refused; exits and stops go on.",
        manual_steps=(
            "Start the version that the ledger names.",
            "Finish the rollout, or roll it back: gate and execution are to be of one release.",
            "Look at the database where it cannot be read.",
        ),
        proofs=(
            f"{_TESTS}::test_a_ledger_of_a_newer_program_is_an_error",
            f"{_RELEASES}::test_entries_of_a_release_that_is_not_understood_are_refused_and_exits_go_on",
        ),
    ),
)
