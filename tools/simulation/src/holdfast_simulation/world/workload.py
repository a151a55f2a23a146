"""What strategies want, and the scoring service that brings it to the gate until it is answered."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

import structlog

from holdfast.common.v1 import common_pb2 as common
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast.scoring.v1 import scoring_pb2 as scoring
from holdfast.signal.v1 import signal_pb2 as signal
from holdfast_runtime.errors import Refused, Retry
from holdfast_runtime.ports.calls import GateCalls
from holdfast_runtime.rebalance_settings import RebalanceSettings
from holdfast_runtime.settings import StrategySettings
from holdfast_runtime.wire import to_decimal, to_timestamp
from holdfast_simulation.world.faults import Kind
from holdfast_simulation.world.services import Ground, Process

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
POLL_SECS = 0.1
SCORE = scoring.Score(value=4.0)
"""Of every signal: more than an entry needs."""
FIRST_CALM = 1_000
PASSING_REASONS = frozenset(
    {"ENTRIES_LOCKED", "ENTRIES_HALTED", "FEED_DISCONNECTED", "KILL_SWITCH_ENGAGED", "RECONCILIATION_STALE"}
)
"""Blocks that must be over when nothing goes wrong any more."""
ENTERS_WHEN_FLAT, ENTERS_WHEN_HELD, REDUCES_WHEN_HELD = 0.85, 0.25, 0.6
REDUCES = 0.5
"""A lean that wants a part sold of what is held."""

log = structlog.get_logger()


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


@dataclass(slots=True)
class Stream:
    """The durable stream of cycles, as a bus that was acknowledged keeps it."""

    published: dict[str, list[gate.EvaluateRequest]] = field(default_factory=dict)
    """By strategy, in order."""
    answered: dict[str, gate.EvaluateResponse] = field(default_factory=dict)
    """By cycle: the first answer."""
    contradicted: list[str] = field(default_factory=list)
    """Cycles that were answered differently when they came again."""

    def publish(self, ground: Ground, plan: CyclePlan) -> None:
        """The cycle as of now."""
        now = ground.market_clock.now()
        cycle_id = f"{plan.strategy}.{plan.number}"
        request = gate.EvaluateRequest(
            cycle_id=cycle_id,
            strategy=plan.strategy,
            book=common.BOOK_EQUITY,
            market_time=to_timestamp(now),
            valid_until=to_timestamp(now + timedelta(seconds=plan.valid_secs)),
        )
        for wish in plan.wishes:
            held = wish.symbol in ground.server.exchange.books.positions
            enters = wish.lean < (ENTERS_WHEN_HELD if held else ENTERS_WHEN_FLAT)
            reduces = held and plan.strategy in REBALANCED and wish.lean < REDUCES_WHEN_HELD
            word = "enter" if enters else "reduce" if reduces else "exit"
            scored = request.signals.add(score=SCORE)
            scored.signal.CopyFrom(
                signal.Signal(
                    signal_id=f"{cycle_id}.{wish.symbol}.{word}",
                    symbol=wish.symbol,
                    direction=_DIRECTIONS[word],
                    strength=1.0,
                    target_weight=to_decimal(wish.weight),
                    stop_fraction=to_decimal(plan.stop_fraction),
                )
            )
            price = to_decimal(ground.server.exchange.market.price(wish.symbol))
            if price is not None:
                scored.signal.reference_price.CopyFrom(price)
        self.keep(request)

    def keep(self, request: gate.EvaluateRequest) -> None:
        """One more cycle, or one that comes again."""
        self.published.setdefault(request.strategy, []).append(request)

    def answer(self, request: gate.EvaluateRequest, response: gate.EvaluateResponse) -> None:
        """Keeps the first answer; a later one must say the same."""
        first = self.answered.setdefault(request.cycle_id, response)
        if [each.SerializeToString(deterministic=True) for each in first.decisions] != [
            each.SerializeToString(deterministic=True) for each in response.decisions
        ]:
            self.contradicted.append(request.cycle_id)


class Scoring(Process):
    """Brings each strategy's cycles to the gate in order, each until it is answered; at least once."""

    def __init__(self, ground: Ground, name: str, stream: Stream) -> None:
        super().__init__(ground, name)
        self._stream = stream

    def build(self) -> None:
        """One worker a strategy."""
        calls = self.ground.wire.remote(GateCalls, "gate", self.service, self.clock)
        for strategy in self.ground.settings.strategies:
            self.run(strategy.id, lambda name=strategy.id: self._work(name, calls))  # type: ignore[misc]  # bound now

    async def _work(self, strategy: str, calls: GateCalls) -> None:
        while True:
            request = self._next(strategy)
            if request is None:
                await asyncio.sleep(POLL_SECS)
                continue
            try:
                self._stream.answer(request, await calls.evaluate(request))
            except (Retry, Refused) as error:
                log.info("cycle.waits", cycle=request.cycle_id, reason=str(error))
                await asyncio.sleep(error.after_secs if isinstance(error, Retry) else 1.0)

    def _next(self, strategy: str) -> gate.EvaluateRequest | None:
        published: Sequence[gate.EvaluateRequest] = self._stream.published.get(strategy, ())
        open_ = [each for each in published if each.cycle_id not in self._stream.answered]
        if published and self.ground.weather.strikes(Kind.CYCLE_AGAIN, "scoring"):
            return self.ground.chance.choice(published)
        return open_[0] if open_ else None
