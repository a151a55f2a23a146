"""What gate's sentinel looks at: its facts, and what it blocks on purpose."""

from collections.abc import Callable, Mapping
from datetime import timedelta

from holdfast_catalogue.gauges import Growth, Lasting, total
from holdfast_catalogue.registry import point
from holdfast_catalogue.sentinel import Watch
from holdfast_catalogue.standing import Finding, Status, error, ok, warn
from holdfast_gate.domain.ledger import KILL_SWITCH, LedgerView
from holdfast_gate.gates.kill_switch import halt_numbers
from holdfast_gate.prices import Prices
from holdfast_gate.service import GateService
from holdfast_gate.snapshot import Snapshots
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.telemetry import metrics

AWAY_SECS = 5.0
LATELY_SECS = 60.0
NEARLY_LATE_SECS = 300.0
NEARLY_LATE_TO_ALARM = 5
_MAX_SYMBOLS = 20
"""Shown with their numbers; of more, the first ones."""
_NO_TIME = timedelta(0)

ON_PURPOSE = (
    "session",
    "asset",
    "score",
    "symbol_owner",
    "max_positions",
    "max_new_per_cycle",
    "cooldown",
    "entries_per_day",
    "collar",
    "buying_power",
)
"""Gates whose blocks are points of their own."""


def watches(
    *, service: GateService, snapshots: Snapshots, prices: Prices, monotonic: MonotonicClock
) -> list[Watch]:  # fmt: skip
    """One watch for each of gate's points."""
    return [
        Watch(point=point("gate.snapshot_missing"), detect=_snapshot_missing(snapshots, monotonic)),
        Watch(point=point("gate.prices_away"), detect=_prices_away(prices, monotonic)),
        Watch(point=point("gate.nearly_late"), detect=_nearly_late(monotonic)),
        Watch(point=point("gate.kill_switch"), detect=lambda: _kill_switch(snapshots)),
        *(
            Watch(point=point(f"gate.{name}"), detect=_blocks(name, service, snapshots, monotonic))
            for name in ON_PURPOSE
        ),
    ]


def _snapshot_missing(snapshots: Snapshots, monotonic: MonotonicClock) -> Callable[[], Finding]:
    away = Lasting(monotonic)

    def detect() -> Finding:
        view = snapshots.view
        secs = away(view is None or not snapshots.connected)
        version = "none" if view is None else str(view.version)
        if view is not None and snapshots.connected:
            return ok(f"at version {version}", version=version)
        text = f"no snapshots for {secs:.0f} s, the last one was of version {version}"
        return error(text, version=version) if secs >= AWAY_SECS else warn(text, version=version)

    return detect


def _prices_away(prices: Prices, monotonic: MonotonicClock) -> Callable[[], Finding]:
    away = Lasting(monotonic)

    def detect() -> Finding:
        secs = away(not prices.connected)
        if prices.connected:
            return ok(f"prices of {len(prices.by_symbol)} symbols", symbols=len(prices.by_symbol))
        text = f"no prices for {secs:.0f} s"
        return error(text) if secs >= AWAY_SECS else warn(text)

    return detect


def _nearly_late(monotonic: MonotonicClock) -> Callable[[], Finding]:
    lately = Growth(lambda: total(metrics.CYCLES_NEARLY_LATE), monotonic, within_secs=NEARLY_LATE_SECS)

    def detect() -> Finding:
        count = lately()
        shown = {"cycles": f"{count:.0f}"}
        if not count:
            return ok("every cycle is decided well within its time", **shown)
        text = f"{count:.0f} cycles lately were decided when 80 % of their time was over"
        return error(text, **shown) if count >= NEARLY_LATE_TO_ALARM else warn(text, **shown)

    return detect


def _kill_switch(snapshots: Snapshots) -> Finding:
    halts = () if snapshots.view is None else snapshots.view.account_halts
    for halt in halts:
        if halt.kind == KILL_SWITCH:
            text = f"engaged by {halt.set_by or 'somebody'}: {halt.reason}"
            return Finding(Status.ERROR, text, halt_numbers(halt))
    return ok("not engaged")


def _blocks(
    name: str, service: GateService, snapshots: Snapshots, monotonic: MonotonicClock
) -> Callable[[], Finding]:  # fmt: skip
    def count() -> float:
        return total(metrics.GATE_VERDICTS, gate=name, verdict="block")

    lately = Growth(count, monotonic, within_secs=LATELY_SECS)

    def detect() -> Finding:
        blocks = lately()
        shown = {"blocks_lately": f"{blocks:.0f}", "blocks": f"{count():.0f}"}
        shown |= _quantities(name, service, snapshots.view)
        text = f"{blocks:.0f} blocks within the last minute" if blocks else "blocks nothing now"
        return Finding(Status.WARN if blocks else Status.OK, text, shown)

    return detect


def _quantities(name: str, service: GateService, view: LedgerView | None) -> Mapping[str, str]:
    """The numbers that people look for beside a block (DA-4)."""
    rules = service.rules
    if view is None:
        return {}
    match name:
        case "max_positions":
            taken = {f"positions_{book}": str(len(symbols)) for book, symbols in sorted(view.taken.items())}
            return {**taken, "limit": str(rules.max_positions)}
        case "max_new_per_cycle":
            return {"limit": str(rules.max_new_per_cycle)}
        case "cooldown":
            now = service.market_clock.now()
            left = {symbol: last.at + rules.cooldown - now for symbol, last in sorted(view.last_entries.items())}
            cooling = {symbol: f"{rest.total_seconds():.0f} s left" for symbol, rest in left.items() if rest > _NO_TIME}
            return {**dict(list(cooling.items())[:_MAX_SYMBOLS]), "cooling": str(len(cooling))}
        case "score":
            return {"threshold": f"{rules.entry_threshold:g}"}
        case "collar":
            return {"collar": format(rules.collar, "f")}
        case "buying_power":
            return {"cash": format(view.cash, "f"), "reserved": format(view.reserved, "f")}
        case "entries_per_day":
            return {"limit": str(rules.max_entries_per_symbol_day)}
        case "symbol_owner":
            return {holding.symbol: holding.strategy for holding in list(view.holdings.values())[:_MAX_SYMBOLS]}
        case _:
            return {}
