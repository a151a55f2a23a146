"""What admin shows Prometheus of the account is what its pages show."""

import asyncio
from typing import Any

from holdfast_admin.gauges import keep_gauges
from holdfast_core.sessions import calendar_of
from holdfast_runtime.telemetry import metrics


class Enough(Exception):
    """One turn is over."""


async def one_turn(admin: Any) -> None:
    def progress() -> None:
        raise Enough

    keeping = keep_gauges(
        admin.sources, progress, market_clock=admin.clock, clock=admin.clock, calendar=calendar_of("equity")
    )
    (ended,) = await asyncio.gather(keeping, return_exceptions=True)
    assert isinstance(ended, Enough)


def shown(name: str, **labels: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(f"holdfast_{name}", labels)


async def test_equity_profit_and_the_kill_switch_are_shown_as_numbers(admin: Any, facts: Any) -> None:
    for fact in (facts.account("99950"), facts.position("SPY", "10"), facts.halt("h1")):
        admin.sources.projection.apply(fact)
    await one_turn(admin)
    assert shown("equity") == 100_050
    assert shown("profit", kind="total") == 50
    assert shown("halts", kind="kill_switch") == 1
    admin.sources.projection.apply(facts.halt("h1", cleared=True))
    await one_turn(admin)
    assert shown("halts", kind="kill_switch") == 0
