"""The account in numbers for Prometheus: what the pages show, for curves and alerts.

Floats: nothing decides on them.
"""

from collections.abc import Callable

from holdfast_admin.domain import board
from holdfast_admin.domain.sources import Sources
from holdfast_core.sessions import Calendar
from holdfast_runtime.ledger_halts import KILL_SWITCH
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock
from holdfast_runtime.telemetry import metrics

EVERY_SECS = 2.0


async def keep_gauges(
    sources: Sources,
    progress: Callable[[], None],
    *,
    market_clock: MarketClock,
    clock: MonotonicClock,
    calendar: Calendar,
) -> None:
    """Sets them until cancelled. The kill switch is shown from here too: it works while execution is away."""
    while True:
        held = board.positions(sources)
        found = board.account(sources, held, board.market_time(sources, market_clock.now(), calendar), calendar)
        if found is not None:
            metrics.EQUITY.set(float(found.equity))
            profits = {
                "realised": found.realised_pnl,
                "unrealised": found.unrealised_pnl,
                "day": found.day_pnl,
                "total": found.total_pnl,
            }
            for kind, amount in profits.items():
                metrics.PROFIT.labels(kind=kind).set(float("nan") if amount is None else float(amount))
        metrics.HALTS.labels(kind=KILL_SWITCH).set(board.kill_switch(sources).engaged)
        progress()
        await clock.sleep(EVERY_SECS)
