"""What gate watches: its facts, and what it blocks on purpose."""

from holdfast_catalogue.points import FailurePoint, Severity

_TESTS = "services/gate/tests/test_gate_failure_points.py"
_BLOCKS = f"{_TESTS}::test_a_block_on_purpose_shows_for_a_while_and_does_not_alarm"
_LATELY = "Its blocks within the last minute: WARN from one on."


def _block(
    name: str, title: str, covers: tuple[str, ...], ends: str, *, priority: str = "", severity: Severity = Severity.LOW
) -> FailurePoint:
    """A gate that holds entries back on purpose. `ends`: when it lets them through again."""
    return FailurePoint(
        id=f"gate.{name}",
        title=title,
        owner="gate",
        severity=severity,
        priority=priority,
        covers=covers,
        detector=_LATELY,
        why_no_healer=ends,
        intentional=True,
        proofs=(_BLOCKS,),
    )


POINTS: tuple[FailurePoint, ...] = (
    FailurePoint(
        id="gate.snapshot_missing",
        title="The gates have no present ledger",
        owner="gate",
        severity=Severity.CRITICAL,
        covers=("DI-2", "NW-1"),
        detector="The stream of ledger snapshots: WARN while it is not connected or none has come, ERROR after 5 s.",
        healer="The stream is asked for again every 0.1 s; until then no batch is decided.",
        heal_within_secs=30.0,
        manual_steps=("Look at execution: does it run, and does it hold the lease?",),
        proofs=(f"{_TESTS}::test_without_a_ledger_the_gates_show_an_error_until_it_streams",),
    ),
    FailurePoint(
        id="gate.prices_away",
        title="The gates have no prices",
        owner="gate",
        severity=Severity.CRITICAL,
        covers=("SQ-6", "NW-1"),
        detector="The stream of prices: WARN while it is not connected, ERROR after 5 s.",
        healer="The stream is asked for again every 0.1 s; until then entries are blocked as blind.",
        heal_within_secs=30.0,
        manual_steps=("Look at signal: does it run, and is its feed connected?",),
        proofs=(f"{_TESTS}::test_without_prices_the_gates_show_an_error_until_they_stream",),
    ),
    FailurePoint(
        id="gate.nearly_late",
        title="Cycles are decided just before their time is over",
        owner="gate",
        severity=Severity.HIGH,
        covers=("IN-2",),
        detector="Cycles that were decided with 80 % of their time over, within the last 5 minutes: WARN from one on, "
        "ERROR from five on.",
        why_no_healer="They are traded all the same; a slower one is not. What delays them is a point of its own.",
        manual_steps=(
            "Look at the stages of a trade: `holdfast trace <signal>`.",
            "Look at chain.away and bus.away, and at the processor and the disk.",
        ),
        proofs=(f"{_TESTS}::test_a_cycle_that_is_decided_near_its_end_shows_before_one_is_late",),
    ),
    FailurePoint(
        id="gate.kill_switch",
        title="The kill switch is engaged",
        owner="gate",
        severity=Severity.CRITICAL,
        priority="CRITICAL",
        covers=("KS-1", "KS-2", "IG-1", "MG-3"),
        detector="Open kill switches of the whole account in the ledger's newest snapshot: ERROR while there is one.",
        why_no_healer="A person engaged it, and only a person lifts it.",
        manual_steps=("When it is safe to trade again: lift it in admin, with the reason.",),
        intentional=True,
        proofs=(f"{_TESTS}::test_the_kill_switch_is_shown_with_who_when_and_why",),
    ),
    _block(
        "session",
        "The market is closed",
        ("TL-2", "TL-3"),
        "It ends with the next open of the book's calendar.",
        priority="P1",
    ),
    _block(
        "asset",
        "The broker does not trade the asset",
        ("TL-7",),
        "It ends when the broker trades the asset again: assets are read at each start.",
    ),
    _block(
        "score",
        "Scores below the entry threshold",
        ("FP-2.3", "FP-3.8"),
        "Each signal is scored on its own: the next one may pass.",
    ),
    _block(
        "symbol_owner",
        "Another strategy holds the symbol",
        ("IG-2", "MG-4"),
        "It ends when the owner has sold.",
        priority="HIGH",
    ),
    _block(
        "max_positions",
        "The book is full",
        ("FP-3.2", "RC-1", "MG-10"),
        "It ends with the next exit.",
        priority="HIGH",
    ),
    _block(
        "max_new_per_cycle",
        "The cycle has opened what it may",
        ("FP-3.3",),
        "It ends with the next cycle.",
    ),
    _block(
        "cooldown",
        "Symbols cool down",
        ("FP-3.7",),
        "It ends by itself, gate.cooldown_secs after the symbol's last entry.",
    ),
    _block(
        "entries_per_day",
        "Symbols were entered as often as they may today",
        ("SQ-11",),
        "It ends with the day.",
    ),
    _block(
        "collar",
        "The price moved too far from what the strategy saw",
        ("TL-4",),
        "Each signal is measured on its own: the next one may pass.",
    ),
    _block(
        "buying_power",
        "Buying power is used up",
        ("BR-7", "FP-4.3", "RC-3", "RC-4"),
        "Orders are made smaller where that helps; else it ends with the next exit.",
        priority="P0",
    ),
)
