"""What Grafana shows of Holdfast. tools/dashboards.py makes deploy/observability/dashboards/*.json of it.

In an expression `@` stands for the selector of the chosen namespaces, and goes before further labels: `{@, stage="x"}`.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel. `queries`: expression → legend. `exemplars`: dots that open their traces."""

    title: str
    queries: dict[str, str]
    kind: str = "timeseries"
    unit: str = "short"
    about: str = ""
    exemplars: bool = False
    instant: bool = False
    thresholds: Sequence[tuple[float | None, str]] = ()
    names: Sequence[tuple[str, str, str]] = ()
    """Value → text and colour, where numbers stand for words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    uid: str
    title: str
    about: str
    rows: Sequence[Row]


YES_IS_GOOD = (("0", "no", "red"), ("1", "yes", "green"))
YES_IS_BAD = (("0", "no", "green"), ("1", "yes", "red"))
STATUS = (("0", "OK", "green"), ("1", "WARN", "yellow"), ("2", "ERROR", "red"))
NONE_IS_GOOD = ((None, "green"), (1.0, "red"))
BLOCKED = 'sum by (reason) (increase(holdfast_decisions_total{@, outcome="blocked"}[$__range]))'
CERTIFICATE_ENDS = "min by (job, certificate) (holdfast_certificate_expiry_timestamp_seconds{@})"


def rate(metric: str, by: str, more: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{@{more}}}[$__rate_interval]))"


def grew(metric: str, by: str = "", more: str = "") -> str:
    """By how much, between two points of the curve."""
    grouped = f" by ({by}) " if by else ""
    return f"sum{grouped}(increase({metric}{{@{more}}}[$__rate_interval]))"


def quantile(share: float, metric: str, by: str = "", more: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{{@{more}}}[$__rate_interval])))"


TRADING = Dashboard(
    uid="holdfast-trading",
    title="Holdfast: trading",
    about="What was decided, sent, filled and earned, how fast, and why not.",
    rows=(
        Row(
            title="Now",
            panels=(
                Panel(title="Equity", kind="stat", queries={"max(holdfast_equity{@})": ""}, unit="currencyUSD"),
                Panel(
                    title="Profit of the day",
                    kind="stat",
                    queries={'max(holdfast_profit{@, kind="day"})': ""},
                    unit="currencyUSD",
                    thresholds=((None, "red"), (0.0, "green")),
                ),
                Panel(title="Positions", kind="stat", queries={"max(holdfast_positions{@})": ""}),
                Panel(
                    title="Without a stop",
                    kind="stat",
                    queries={"max(holdfast_unprotected_positions{@})": ""},
                    thresholds=NONE_IS_GOOD,
                ),
                Panel(
                    title="Kill switch",
                    kind="stat",
                    queries={'max(holdfast_halts{@, kind="kill_switch"})': ""},
                    names=YES_IS_BAD,
                ),
                Panel(
                    title="Other halts",
                    kind="stat",
                    queries={'sum(holdfast_halts{@, kind!="kill_switch"})': ""},
                    thresholds=NONE_IS_GOOD,
                ),
            ),
        ),
        Row(
            title="Money",
            panels=(
                Panel(title="Equity", queries={"max(holdfast_equity{@})": "equity"}, unit="currencyUSD"),
                Panel(title="Profit", queries={"max by (kind) (holdfast_profit{@})": "{{kind}}"}, unit="currencyUSD"),
            ),
        ),
        Row(
            title="Decisions",
            panels=(
                Panel(
                    title="Cycles and signals",
                    queries={
                        grew("holdfast_cycles_total", "outcome"): "{{outcome}} cycles",
                        grew("holdfast_signals_total"): "signals",
                    },
                ),
                Panel(
                    title="Decisions",
                    queries={grew("holdfast_decisions_total", "outcome"): "{{outcome}}"},
                ),
                Panel(
                    title="Blocked by reason",
                    kind="bargauge",
                    about="In the whole range shown.",
                    queries={f"topk(15, {BLOCKED})": "{{reason}}"},
                    instant=True,
                ),
            ),
        ),
        Row(
            title="Orders and fills",
            panels=(
                Panel(
                    title="Orders by state",
                    queries={grew("holdfast_orders_total", "purpose, state"): "{{purpose}} {{state}}"},
                ),
                Panel(
                    title="What the broker answered",
                    queries={grew("holdfast_sends_total", "outcome", ', request="submit"'): "{{outcome}}"},
                ),
                Panel(
                    title="Fills",
                    queries={grew("holdfast_fills_total", "purpose, side"): "{{purpose}} {{side}}"},
                ),
                Panel(
                    title="Outcome not known",
                    queries={
                        "max(holdfast_unknown_outcomes{@})": "now",
                        grew("holdfast_unknown_outcomes_seen_total"): "ended so",
                    },
                ),
            ),
        ),
        Row(
            title="How long it takes",
            panels=(
                Panel(
                    title="From a cycle to its decisions",
                    about="Waiting in the stream included. The dots are cycles: click one for its trace.",
                    unit="s",
                    exemplars=True,
                    queries={
                        quantile(share, "holdfast_stage_seconds", more=', stage="cycle.decided"'): f"p{share * 100:g}"
                        for share in (0.5, 0.9, 0.99)
                    },
                ),
                Panel(
                    title="Each stage, p99",
                    about="cycle.decided contains scoring.cycle, that gate.evaluate, that execution.submit.",
                    unit="s",
                    exemplars=True,
                    queries={quantile(0.99, "holdfast_stage_seconds", "stage"): "{{stage}}"},
                ),
                Panel(
                    title="The broker's answer to an order",
                    unit="s",
                    queries={
                        quantile(share, "holdfast_send_seconds", "request"): f"{{{{request}}}} p{share * 100:g}"
                        for share in (0.5, 0.99)
                    },
                ),
            ),
        ),
        Row(
            title="Objectives: 1 % may fail",
            panels=(
                Panel(
                    title="Cycles decided later than 1 s",
                    unit="percentunit",
                    queries={
                        f"holdfast:decision_late:ratio_{window}{{@}}": window for window in ("5m", "1h", "6h", "3d")
                    },
                ),
                Panel(
                    title="Orders not taken at the first answer",
                    unit="percentunit",
                    queries={
                        f"holdfast:order_failed:ratio_{window}{{@}}": window for window in ("5m", "1h", "6h", "3d")
                    },
                ),
            ),
        ),
    ),
)

HEALTH = Dashboard(
    uid="holdfast-health",
    title="Holdfast: health",
    about="Failure points, loops, bus, ledger, feeds and resources of every process.",
    rows=(
        Row(
            title="Now",
            panels=(
                Panel(
                    title="Ready",
                    kind="stat",
                    queries={"max by (name) (holdfast_ready{@})": "{{name}}"},
                    names=YES_IS_GOOD,
                ),
                Panel(
                    title="Account held",
                    kind="stat",
                    queries={"sum(holdfast_lease_held{@})": ""},
                    thresholds=((None, "red"), (1.0, "green"), (2.0, "red")),
                ),
                Panel(
                    title="Errors of failure points",
                    kind="stat",
                    queries={"count(max by (point) (holdfast_failure_point_status{@}) == 2) or vector(0)": ""},
                    thresholds=NONE_IS_GOOD,
                ),
                Panel(
                    title="Alerts",
                    kind="stat",
                    queries={'count(ALERTS{@, alertname=~"Holdfast.*", alertstate="firing"}) or vector(0)': ""},
                    thresholds=NONE_IS_GOOD,
                ),
            ),
        ),
        Row(
            title="Failure points and loops",
            panels=(
                Panel(
                    title="Failure points that are not OK",
                    kind="state-timeline",
                    queries={"max by (point) (holdfast_failure_point_status{@}) > 0": "{{point}}"},
                    names=STATUS,
                ),
                Panel(
                    title="Healed without a person",
                    queries={grew("holdfast_failure_point_heals_total", "point"): "{{point}}"},
                ),
                Panel(
                    title="Oldest turn of a loop",
                    unit="s",
                    queries={"topk(5, max by (job, loop) (holdfast_loop_age_seconds{@}))": "{{job}} {{loop}}"},
                ),
                Panel(
                    title="Loops that failed",
                    queries={grew("holdfast_loop_failures_total", "job, loop"): "{{job}} {{loop}}"},
                ),
            ),
        ),
        Row(
            title="Bus",
            panels=(
                Panel(
                    title="Connected",
                    kind="state-timeline",
                    queries={"min by (job) (holdfast_bus_connected{@})": "{{job}}"},
                    names=YES_IS_GOOD,
                ),
                Panel(
                    title="Messages a second",
                    queries={
                        rate("holdfast_bus_published_total", "stream"): "to {{stream}}",
                        rate("holdfast_bus_consumed_total", "consumer"): "by {{consumer}}",
                    },
                ),
                Panel(
                    title="Redelivered, put aside, refused",
                    queries={
                        grew("holdfast_bus_redelivered_total", "stream"): "{{stream}} again",
                        grew("holdfast_bus_dead_letters_total", "stream"): "{{stream}} put aside",
                        grew("holdfast_bus_publish_failures_total", "stream"): "{{stream}} not confirmed",
                    },
                ),
                Panel(
                    title="How full the streams are",
                    unit="percentunit",
                    queries={"max by (stream) (holdfast_bus_stream_fill{@})": "{{stream}}"},
                ),
            ),
        ),
        Row(
            title="Ledger and broker",
            panels=(
                Panel(
                    title="Ledger transaction",
                    unit="s",
                    queries={
                        quantile(share, "holdfast_ledger_commit_seconds"): f"p{share * 100:g}" for share in (0.5, 0.99)
                    },
                ),
                Panel(
                    title="Facts that wait",
                    queries={
                        "max(holdfast_outbox_backlog{@})": "facts",
                        "max(holdfast_outbox_age_seconds{@})": "age of the oldest in seconds",
                    },
                ),
                Panel(
                    title="Comparisons of ledger and broker",
                    queries={
                        grew("holdfast_reconciliations_total", "verdict"): "{{verdict}}",
                        grew("holdfast_discrepancies_total", "kind, action") + " > 0": "{{kind}} {{action}}",
                        "max(holdfast_reconciliation_age_seconds{@})": "age of the last clean one in seconds",
                    },
                ),
                Panel(
                    title="Age of prices, in market time",
                    unit="s",
                    queries={"max by (symbol) (holdfast_feed_age_seconds{@})": "{{symbol}}"},
                ),
            ),
        ),
        Row(
            title="Calls between services",
            panels=(
                Panel(
                    title="Time to answer, p99",
                    unit="s",
                    queries={quantile(0.99, "holdfast_rpc_seconds", "method"): "{{method}}"},
                ),
                Panel(
                    title="Answers that were no OK",
                    queries={rate("holdfast_rpc_served_total", "method, code", ', code!="OK"'): "{{method}} {{code}}"},
                ),
                Panel(
                    title="Denied, and wrong tokens",
                    queries={
                        grew("holdfast_rpc_denied_total", "job, reason"): "{{job}} {{reason}}",
                        grew("holdfast_bus_denied_total", "job, action"): "{{job}} {{action}}",
                        grew("holdfast_admin_logins_total", "outcome", ', outcome!="accepted"'): "token {{outcome}}",
                    },
                ),
            ),
        ),
        Row(
            title="Resources",
            panels=(
                Panel(
                    title="Memory, of its limit",
                    unit="percentunit",
                    queries={"max by (job, instance) (holdfast_memory_fraction{@})": "{{job}} {{instance}}"},
                ),
                Panel(
                    title="CPU",
                    unit="percentunit",
                    queries={
                        "sum by (job) (rate(process_cpu_seconds_total{@}[$__rate_interval]) and on (job, instance) "
                        "holdfast_ready{@})": "{{job}}"
                    },
                ),
                Panel(
                    title="From start to ready",
                    unit="s",
                    queries={"max by (name) (holdfast_start_to_ready_seconds{@})": "{{name}}"},
                ),
                Panel(
                    title="Free space",
                    unit="bytes",
                    queries={"min by (job) (holdfast_disk_free_bytes{@})": "{{job}}"},
                ),
                Panel(
                    title="Logs and spans lost",
                    queries={
                        grew("holdfast_logs_dropped_total", "job, sink"): "{{job}} logs {{sink}}",
                        grew("holdfast_spans_dropped_total", "job, exporter"): "{{job}} spans {{exporter}}",
                    },
                ),
                Panel(
                    title="Certificates end in",
                    unit="s",
                    queries={f"{CERTIFICATE_ENDS} - time()": "{{job}} {{certificate}}"},
                ),
            ),
        ),
    ),
)
