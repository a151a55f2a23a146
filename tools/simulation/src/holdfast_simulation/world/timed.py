"""Trades by the clock in the world: those that a seed draws, and the strategies that they make (SQ-13)."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from holdfast_core.schedules import TradeKind
from holdfast_runtime.schedule_settings import ScheduleSettings
from holdfast_runtime.settings import StrategySettings
from holdfast_simulation.world.workload import STRATEGIES

CLOCK = "clock"
"""The strategy that buys by the clock. Its symbols are those of the others, who may be there first."""
GRACES_SECS = (30.0, 60.0, 300.0)
LIVES_WITH_TIMES = 0.4
MOST_TIMES = 2
"""Of buys, and of sales."""
OPEN_MINUTE = 9 * 60 + 30


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedTrade:
    """A time of a strategy's schedule."""

    strategy: str
    kind: TradeKind
    at: str
    """In the time of the exchange."""


def draw(chance: random.Random, *, within_secs: float) -> tuple[TimedTrade, ...]:
    """In a part of the lives: some minutes to buy and some to sell, so much of market time after the open."""
    if chance.random() >= LIVES_WITH_TIMES:
        return ()
    sellers = (CLOCK, *(each.id for each in STRATEGIES))
    drawn = {*_some(chance, TradeKind.BUY, (CLOCK,), within_secs), *_some(chance, TradeKind.SELL, sellers, within_secs)}
    return tuple(sorted(drawn, key=lambda each: (each.at, each.strategy, each.kind)))


def _some(
    chance: random.Random, kind: TradeKind, strategies: Sequence[str], within_secs: float
) -> Iterator[TimedTrade]:
    for _ in range(chance.randint(0, MOST_TIMES)):
        minute = OPEN_MINUTE + chance.randint(1, max(int(within_secs / 60), 1))
        at = f"{minute // 60:02d}:{minute % 60:02d}"
        yield TimedTrade(strategy=chance.choice(strategies), kind=kind, at=at)


def strategies(trades: Sequence[TimedTrade], *, grace_secs: float) -> tuple[StrategySettings, ...]:
    """Those of the workload, and the one that buys by the clock where something is bought so."""
    buyer = StrategySettings(
        id=CLOCK, kind="timed", symbols=("IBM", "SPY"), parameters={"target_weight": Decimal("0.1")},
    )  # fmt: skip
    timed = tuple(
        each.model_copy(update={"schedule": _schedule(each.id, trades, grace_secs)}) for each in (*STRATEGIES, buyer)
    )
    return tuple(each for each in timed if each.id != CLOCK or (each.schedule is not None and each.schedule.buy_at))


def _schedule(strategy: str, trades: Sequence[TimedTrade], grace_secs: float) -> ScheduleSettings | None:
    """None where it has no times. A buy after the day's last sale is no schedule, and is left out."""
    mine = [each for each in trades if each.strategy == strategy]
    sales = tuple(each.at for each in mine if each.kind is TradeKind.SELL)
    buys = tuple(each.at for each in mine if each.kind is TradeKind.BUY and (not sales or each.at < sales[-1]))
    if not (buys or sales):
        return None
    return ScheduleSettings(buy_at=buys, sell_at=sales, grace_secs=grace_secs)
