"""Holdfast: its services with all gates, over the same bars. Only limits of rates are raised, by configuration."""

from collections.abc import Callable
from decimal import Decimal

import alembic.command  # noqa: F401 - imports are not measured, and a new ledger would import this one in the run
import bars

from holdfast_exchange import replay
from holdfast_exchange.combining import Combined
from holdfast_exchange.recording import MINUTE, Bar, Recording
from holdfast_exchange.rows import Rows, Table
from holdfast_runtime.settings import GateSettings, ReplaySettings, Settings, StrategySettings
from holdfast_simulation.backtest.run import Opened, run

SYMBOL = "IBM"


def prepare(rows: list[bars.Row], band_bps: float) -> Callable[[], int]:
    settings = Settings(
        replay=ReplaySettings(starting_cash=Decimal(bars.CASH)),
        gate=GateSettings(cooldown_secs=0, max_entries_per_symbol_day=1_000),
        strategies=(
            StrategySettings(
                id="ema",
                kind="ema_cross",
                symbols=(SYMBOL,),
                allocation=Decimal(1_000),
                stop_fraction=Decimal("0.2"),
                parameters={"fast": bars.FAST, "slow": bars.SLOW, "band_bps": band_bps},
            ),
        ),
    )
    recorded = Rows.of(
        Bar(SYMBOL, row.start, row.start + MINUTE, *(Decimal(str(value)) for value in row[1:])) for row in rows
    )
    recording = Recording(
        symbols=(SYMBOL,), minute_bars=Table({SYMBOL: recorded}), minute_quotes=(), daily_bars=(), quarantined=()
    )
    opened = Opened(Combined(recording), replay.plan(recording))
    return lambda: len(run(settings, opened).exchange.orders)


def _bar(row: bars.Row) -> Bar:
    return Bar(SYMBOL, row.start, row.start + MINUTE, *(Decimal(str(value)) for value in row[1:]))


if __name__ == "__main__":
    bars.tell(prepare)
