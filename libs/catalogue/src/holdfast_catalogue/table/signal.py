"""What signal watches: the one data connection, and its cycles on their way to the bus."""

from holdfast_catalogue.points import FailurePoint, Severity

_TESTS = "services/signal/tests/test_signal_failure_points.py"
_LOCKSTEP = "services/signal/tests/test_signal_in_lockstep.py"

POINTS: tuple[FailurePoint, ...] = (
    FailurePoint(
        id="feed.disconnected",
        title="The market-data connection is gone",
        owner="signal",
        severity=Severity.CRITICAL,
        priority="CRITICAL",
        covers=("SQ-6", "MG-1", "NW-1"),
        detector="The data stream: WARN while it is not connected and caught up, ERROR after 3 s.",
        healer="The stream is connected again with backoff, also where it is silent; history fills what was missed. "
        "Until then no entry is made, and stops stay at the broker.",
        heal_within_secs=60.0,
        manual_steps=(
            "Look at the venue's status page and at the network.",
            "Look whether another program uses the account's one data connection.",
        ),
        proofs=(
            f"{_TESTS}::test_a_lost_connection_is_an_error_until_history_has_caught_up",
            f"{_LOCKSTEP}::test_bars_missed_while_disconnected_come_from_history",
        ),
    ),
    FailurePoint(
        id="feed.stale",
        title="Prices are old",
        owner="signal",
        severity=Severity.HIGH,
        priority="LOW",
        covers=("SQ-6", "TL-1", "HG-2"),
        detector="Market-time age of each symbol's newest datum while its market is open: WARN where one "
        "symbol is older "
        "than a bar and its grace, ERROR where all are.",
        healer="A mute stream is built anew, and history is asked for the newest prices; gates block entries "
        "meanwhile.",
        heal_within_secs=120.0,
        manual_steps=("Look whether the symbol trades at all.", "Look at the venue's data status."),
        proofs=(f"{_TESTS}::test_a_symbol_without_data_is_stale_and_all_of_them_are_an_error",),
    ),
    FailurePoint(
        id="feed.gap",
        title="Bars are missing",
        owner="signal",
        severity=Severity.LOW,
        covers=("TL-1",),
        detector="Gaps in the bars of a session within the last 5 minutes: WARN from one on.",
        healer="The strategy's window begins anew behind the gap, and is asked again when it is full; a late "
        "bar is put in "
        "its place.",
        heal_within_secs=600.0,
        manual_steps=("Nothing has to be done; many gaps speak against the data source.",),
        proofs=(
            f"{_TESTS}::test_a_missing_bar_shows_as_a_gap_for_a_while",
            f"{_LOCKSTEP}::test_a_missing_bar_closes_the_minute_after_its_grace_and_marks_the_gap",
        ),
    ),
    FailurePoint(
        id="feed.quarantined",
        title="Market data is not believed",
        owner="signal",
        severity=Severity.HIGH,
        covers=("BS-8", "TL-1", "DI-3"),
        detector="Items of the feed put aside within the last 5 minutes: WARN from one on, ERROR from 20 on.",
        why_no_healer="A price of another unit, symbol or time cannot be made right here: it is kept with its "
        "reason, and "
        "never traded.",
        manual_steps=(
            "Read the dead letters of `feed`: each names its reason and numbers.",
            "Ask the provider; where a price really moved so far, raise feed.max_bar_move.",
        ),
        proofs=(
            f"{_TESTS}::test_a_price_of_another_unit_shows_as_quarantined",
            f"{_LOCKSTEP}::test_what_is_not_believed_is_quarantined_and_never_traded",
        ),
    ),
    FailurePoint(
        id="market.behind",
        title="Market data waits for the bus",
        owner="signal",
        severity=Severity.LOW,
        covers=("FP-6.6",),
        detector="Messages that wait to be published: WARN from 1 000, ERROR from 16 000 of 20 000.",
        healer="They go out in order when the bus is back; prices for gates and stops do not go this way.",
        heal_within_secs=60.0,
        manual_steps=("Look at bus.away and bus.full.",),
        proofs=(f"{_TESTS}::test_market_data_that_waits_for_the_bus_is_counted_and_goes_out",),
    ),
    FailurePoint(
        id="schedule.missed",
        title="A strategy is not asked though it is due",
        owner="signal",
        severity=Severity.HIGH,
        covers=("IN-3",),
        detector="Market time since each strategy of an open market was last asked, each minute or at the open: WARN "
        "beyond three intervals, ERROR beyond ten.",
        healer="A mute feed is built anew and history asked for what was missed; a timer that is lost comes again with "
        "the process.",
        heal_within_secs=120.0,
        manual_steps=(
            "Look at feed.stale and feed.disconnected: do bars come?",
            "Look whether the strategy is enabled and its book is traded.",
            "Restart signal.",
        ),
        proofs=(f"{_TESTS}::test_a_strategy_that_is_due_and_not_asked_is_told",),
    ),
    FailurePoint(
        id="cycle.never_published",
        title="A cycle expired before the bus took it",
        owner="signal",
        severity=Severity.HIGH,
        covers=("IN-2", "IN-3"),
        detector="Cycles that never left within the last 5 minutes: ERROR from one on.",
        why_no_healer="Its time is past: it is not traded late. The next cycle leaves when the bus is back.",
        manual_steps=("Look at bus.away: why was the bus away for so long?",),
        proofs=(f"{_TESTS}::test_a_cycle_that_expires_before_the_bus_takes_it_is_an_error",),
    ),
)
