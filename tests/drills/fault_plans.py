"""One plan for each fault, laid into a recorded hour in which two strategies enter and leave positions.

The hour is 2013-10-08 from 09:40 to 10:40 New York. Undisturbed it has entries at 13:41, 13:43, 14:00 and 14:26 UTC and
exits at 14:11, 14:36 and 14:39.
"""

from dataclasses import dataclass
from typing import Any

HOUR = ("--from", "2013-10-08T13:40:00Z", "--to", "2013-10-08T14:40:00Z")
OVERNIGHT = ("--from", "2013-10-09", "--to", "2013-10-10T14:30:00Z")
"""A session, its night with something held, and an hour of the next."""
FIRST_ENTRY, LATER = "2013-10-08T13:43:00Z", "2013-10-08T14:02:00Z"

Plan = dict[str, Any]
SUBMIT = {"endpoint": "orders.submit"}
ENTRY = {"endpoint": "orders.submit", "order_kind": "oto"}


@dataclass(frozen=True, slots=True)
class Hour:
    """A fault in an hour, and what may be different afterwards."""

    name: str
    fault: Plan
    in_ci: bool = False
    """True for those that run in every CI; `make faults` runs all."""
    not_held: frozenset[str] = frozenset()
    """Invariants that do not hold afterwards: the alarm that is expected. Nothing else may break."""
    reconciliation: str = "clean"
    alerts: frozenset[str] = frozenset()
    """Failure points of which a person must have been told, on the stream of alerts."""
    span: tuple[str, ...] = HOUR
    speed: str = "max"
    """Market seconds per second; max is lock-step, which waits for what only a person can mend."""


def fault(kind: str, scope: Plan | None = None, **parameters: Any) -> Plan:
    """One fault of a plan."""
    return {"id": kind.replace("_", "-"), "kind": kind, "scope": scope or {}, **parameters}


def http_error(status: int, when: str, **scope: Any) -> Plan:
    return fault("http_error", {"endpoint": "orders.submit", **scope}, status=status, when=when)


def told(*names: str) -> frozenset[str]:
    return frozenset(names)


def alarm(*names: str) -> frozenset[str]:
    return frozenset(names)


BEFORE, AFTER = "before_accept", "after_accept"

HOURS = [
    Hour("latency fixed", fault("latency", {"endpoint": "trading", "at_most": 40}, ms=100)),
    Hour("latency random", fault("latency", {"endpoint": "trading", "at_most": 40}, shape="random", ms=1, max_ms=300)),
    Hour(
        "latency with a heavy tail",
        fault("latency", {"endpoint": "trading", "at_most": 60}, shape="heavy_tail", ms=10, max_ms=3_000),
        in_ci=True,
    ),
    Hour("no answer before accept", fault("no_answer", {**SUBMIT, "at_most": 2}, when=BEFORE)),
    Hour("no answer after accept", fault("no_answer", {**SUBMIT, "at_most": 2}, when=AFTER), in_ci=True),
    Hour("accept arrives late", fault("late_accept", {**SUBMIT, "at_most": 2}, late_secs=60), in_ci=True),
    Hour("403", http_error(403, BEFORE, at_most=1)),
    Hour("422", http_error(422, BEFORE, at_most=1), in_ci=True),
    Hour("429", http_error(429, BEFORE, at_most=2)),
    Hour("500 before accept", http_error(500, BEFORE, at_most=2)),
    Hour("500 after accept", http_error(500, AFTER, at_most=2)),
    Hour("502 before accept", http_error(502, BEFORE, at_most=2)),
    Hour("502 after accept", http_error(502, AFTER, at_most=2)),
    Hour("503 before accept", http_error(503, BEFORE, at_most=2)),
    Hour("503 after accept", http_error(503, AFTER, at_most=2)),
    Hour("504 before accept", http_error(504, BEFORE, at_most=2)),
    Hour("504 after accept", http_error(504, AFTER, at_most=2), in_ci=True),
    Hour("200 with an error before accept", fault("error_body", {**SUBMIT, "at_most": 2}, when=BEFORE)),
    Hour("200 with an error after accept", fault("error_body", {**SUBMIT, "at_most": 2}, when=AFTER)),
    Hour("200 with another order", fault("other_order_body", {**SUBMIT, "at_most": 2}), in_ci=True),
    Hour("HTML body", fault("html_body", {**SUBMIT, "at_most": 2})),
    Hour("truncated body", fault("truncated_body", {**SUBMIT, "at_most": 2})),
    Hour("reset before accept", fault("connection_reset", {**SUBMIT, "at_most": 2}, when=BEFORE)),
    Hour("reset after accept", fault("connection_reset", {**SUBMIT, "at_most": 2}, when=AFTER), in_ci=True),
    # Ten: five open the circuit, and the pauses before the next five add up to half a minute of a replay that waits.
    Hour("everything unreadable for a while", fault("html_body", {"endpoint": "trading", "at_most": 10}, status=502)),
    Hour("cancel refused", fault("cancel_refused", {"at_most": 1})),
    Hour("unknown status", fault("unknown_status", {"probability": 0.5})),
    Hour("unknown event", fault("unknown_status", {"event": "fill"}, event="quibbled")),
    Hour("unknown fields", fault("unknown_fields")),
    Hour("updates duplicated", fault("frame_duplicated", times=2)),
    Hour("updates reordered", fault("frame_reordered", {"probability": 0.5}), in_ci=True),
    Hour("updates delayed", fault("frame_delayed", {"probability": 0.5}, secs=90)),
    Hour("updates dropped", fault("frame_dropped", {"probability": 0.6}), in_ci=True),
    Hour("old updates repeated", fault("frames_repeated", {"probability": 0.4}, frames=6)),
    Hour("trading stream closes", fault("stream_closed", {"event": "fill", "at_most": 3})),
    Hour("data stream closes", fault("stream_closed", {"nth": [40, 200]}, stream="market_data")),
    Hour("trading stream mute", fault("stream_mute", {"nth": [2, 9]}, secs=600), in_ci=True),
    Hour("data stream mute", fault("stream_mute", {"nth": [100]}, stream="market_data", secs=300)),
    Hour("data dropped", fault("frame_dropped", {"probability": 0.1}, stream="market_data")),
    Hour("data duplicated", fault("frame_duplicated", {"probability": 0.2}, stream="market_data")),
    Hour("data repeated", fault("frames_repeated", {"probability": 0.05}, stream="market_data", frames=20)),
    Hour(
        "partial fill", fault("partial_fill", {"order_kind": "oto", "at_most": 2}, fraction=0.4, secs=300), in_ci=True
    ),
    Hour("fill before the acknowledgement", fault("fill_before_ack", {"order_kind": "oto"}, ack_ms=100), in_ci=True),
    Hour("cancel races a fill", fault("cancel_fill_race", {"at_most": 1}), in_ci=True),
    Hour("cancel races a partial fill", fault("cancel_fill_race", {"at_most": 1}, fraction=0.5)),
    Hour(
        "both exits fill",
        fault("both_exits_fill", {"at_most": 1}),
        not_held=alarm("every_position_has_a_stop"),
        reconciliation="discrepant",
        alerts=told("reconciliation.discrepant", "position.unprotected"),
    ),
    Hour("maintenance", fault("maintenance", {"since": LATER}, secs=120, wall_secs=4)),
    Hour("halt of a symbol", fault("halt", {"symbol": "SPY", "since": LATER}, secs=900)),
    Hour("halt of everything", fault("halt", {"since": LATER}, secs=900)),
    Hour(
        "early close",
        fault("early_close", close="10:30"),
        in_ci=True,
    ),
    Hour(
        "split overnight",
        fault("split_overnight", {"symbol": "IBM", "since": "2013-10-10T13:00:00Z"}, new_shares=7),
        span=OVERNIGHT,
    ),
    Hour(
        "forced liquidation",
        fault("forced_liquidation", {"symbol": "SPY", "since": LATER}),
        not_held=alarm(
            "every_position_has_a_stop",
            "every_order_has_an_intent",
            "ledger_equals_venue_positions",
            "ledger_equals_venue_fills",
            "ledger_equals_venue_cash",
        ),
        reconciliation="discrepant",
        alerts=told("reconciliation.discrepant", "position.unprotected"),
    ),
    Hour(
        "foreign order",
        fault("foreign_order", {"symbol": "IBM", "since": LATER}),
        not_held=alarm("every_order_has_an_intent", "every_live_order_has_a_live_intent"),
    ),
    Hour(
        "foreign position",
        fault("foreign_position", {"symbol": "IBM", "since": LATER}),
        not_held=alarm("ledger_equals_venue_positions"),
        reconciliation="discrepant",
        alerts=told("reconciliation.discrepant"),
    ),
    Hour(
        "position differs",
        fault("position_differs", {"symbol": "AIG", "since": LATER}, by=-3),
        not_held=alarm("ledger_equals_venue_positions"),
        reconciliation="discrepant",
        alerts=told("reconciliation.discrepant"),
    ),
    Hour("prices gap down", fault("price_gap", {"since": LATER}, factor="0.95"), in_ci=True),
    Hour("prices gap up", fault("price_gap", {"since": LATER}, factor="1.06")),
    Hour("prices freeze", fault("price_frozen", {"since": LATER}, secs=900)),
    Hour("prices are no numbers", fault("price_nan", {"since": LATER}, secs=900), in_ci=True),
    Hour("quotes crossed", fault("quote_crossed", {"since": LATER}, secs=900)),
    Hour(
        "401",
        http_error(401, BEFORE, nth=[2]),
        speed="300",
        not_held=alarm("nothing_unresolved"),
        alerts=told("credentials.refused"),
    ),
]
