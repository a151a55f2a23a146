"""What strategies want."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from holdfast.common.v1 import common_pb2 as common
from holdfast.signal.v1 import signal_pb2 as signal
from holdfast_runtime.rebalance_settings import RebalanceSettings
from holdfast_runtime.settings import StrategySettings
from holdfast_runtime.wire import to_decimal, to_timestamp

STRATEGIES = (
    StrategySettings(id="alpha", kind="drawn", symbols=("BAC", "SPY")),
    StrategySettings(id="beta", kind="drawn", symbols=("BAC", "IBM"), rebalance=RebalanceSettings()),
)
REBALANCED = frozenset(each.id for each in STRATEGIES if each.rebalance is not None)
_DIRECTIONS = {
    "enter": common.DIRECTION_ENTER_LONG,
    "reduce": common.DIRECTION_REDUCE_LONG,
    "exit": common.DIRECTION_EXIT_LONG,
}
FIRST_CALM = 1_000
ENTERS_WHEN_FLAT, ENTERS_WHEN_HELD, REDUCES_WHEN_HELD = 0.85, 0.25, 0.6
REDUCES = 0.5
"""A lean that wants a part sold of what is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One signal of a cycle."""

    symbol: str
    lean: float
    """0 to 1: below ENTERS_WHEN_FLAT it wants in, or below ENTERS_WHEN_HELD where the account has the symbol; of that a
    rebalanced strategy wants a part sold below REDUCES_WHEN_HELD."""
    weight: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CyclePlan:
    """A cycle that a strategy publishes at `at_secs` of virtual time."""

    number: int
    at_secs: float
    strategy: str
    wishes: tuple[Wish, ...]
    valid_secs: int
    stop_fraction: Decimal


def draw(chance: random.Random, *, count: int, within_secs: float) -> list[CyclePlan]:
    """Cycles of both strategies, in the order of their instants."""
    plans = []
    for number in range(count):
        strategy = chance.choice(STRATEGIES)
        symbols = chance.sample(strategy.symbols, chance.randint(1, len(strategy.symbols)))
        plans.append(
            CyclePlan(
                number=number,
                at_secs=chance.uniform(0.5, within_secs),
                strategy=strategy.id,
                wishes=tuple(
                    Wish(
                        symbol=symbol,
                        lean=chance.random(),
                        weight=Decimal(chance.randint(1, 20)) / 100,
                    )
                    for symbol in sorted(symbols)
                ),
                valid_secs=chance.choice((2, 60, 300)),
                stop_fraction=Decimal(chance.choice(("0.004", "0.01", "0.03"))),
            )
        )
    return sorted(plans, key=lambda plan: (plan.at_secs, plan.number))


def calm(at_secs: float) -> list[CyclePlan]:
    """What both strategies want when nothing goes wrong any more: in, with everything they trade."""
    return [
        CyclePlan(
            number=FIRST_CALM + place,
            at_secs=at_secs,
            strategy=strategy.id,
            wishes=tuple(Wish(symbol=symbol, lean=0.0, weight=Decimal("0.1")) for symbol in strategy.symbols),
            valid_secs=600,
            stop_fraction=Decimal("0.03"),
        )
        for place, strategy in enumerate(STRATEGIES)
    ]


def calm_parts(at_secs: float) -> list[CyclePlan]:
    """Then those that are rebalanced want most of what they hold sold."""
    return [
        CyclePlan(
            number=FIRST_CALM + len(STRATEGIES) + place,
            at_secs=at_secs,
            strategy=strategy.id,
            wishes=tuple(Wish(symbol=each, lean=REDUCES, weight=Decimal("0.01")) for each in strategy.symbols),
            valid_secs=600,
            stop_fraction=Decimal("0.03"),
        )
        for place, strategy in enumerate(STRATEGIES)
        if strategy.id in REBALANCED
    ]


def cycle_of(
    plan: CyclePlan, *, now: datetime, holds: Callable[[str], bool], price: Callable[[str], Decimal | None]
) -> signal.Cycle:
    """The cycle as of now, by what the account holds at the broker and by the prices there. Nothing is wanted of what
    has no price yet: it may have no signal."""
    cycle = signal.Cycle(
        cycle_id=f"{plan.strategy}.{plan.number}",
        strategy=plan.strategy,
        book=common.BOOK_EQUITY,
        market_time=to_timestamp(now),
        valid_until=to_timestamp(now + timedelta(seconds=plan.valid_secs)),
    )
    for wish in plan.wishes:
        reference, held = price(wish.symbol), holds(wish.symbol)
        if reference is None:
            continue
        enters = wish.lean < (ENTERS_WHEN_HELD if held else ENTERS_WHEN_FLAT)
        reduces = held and plan.strategy in REBALANCED and wish.lean < REDUCES_WHEN_HELD
        word = "enter" if enters else "reduce" if reduces else "exit"
        cycle.signals.add(
            signal_id=f"{cycle.cycle_id}.{wish.symbol}.{word}",
            symbol=wish.symbol,
            direction=_DIRECTIONS[word],
            strength=1.0,
            target_weight=to_decimal(wish.weight),
            stop_fraction=to_decimal(plan.stop_fraction),
            reference_price=to_decimal(reference),
        )
    return cycle
