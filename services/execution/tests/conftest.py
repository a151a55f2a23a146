"""A desk: the whole execution engine on a real SQLite file, a matching engine behind it, clocks moved by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast.signal.v1 import signal_pb2 as signal
from holdfast_exchange.exchange import Exchange, ExchangeConfig
from holdfast_exchange.market import Market
from holdfast_exchange.orders import Order
from holdfast_exchange.recording import MINUTE, Bar, Recording
from holdfast_execution.adapters.sql.database import Database
from holdfast_execution.adapters.sql.sql_ledger import open_ledger
from holdfast_execution.adapters.sql.writer import Inline
from holdfast_execution.assembly import assemble
from holdfast_execution.domain.intents import Purpose
from holdfast_execution.engine import Engine
from holdfast_execution.lease import LeaseKeeper
from holdfast_execution.rows import HaltRow, IntentRow, PositionRow
from holdfast_execution.service import ExecutionService
from holdfast_runtime.activity import ActivityTracker
from holdfast_runtime.loops import supervise
from holdfast_runtime.schedule_settings import ScheduleSettings
from holdfast_runtime.settings import Settings, StrategySettings
from holdfast_runtime.wire import to_decimal, to_timestamp
from holdfast_simulation.manual_clock import ManualMonotonicClock
from holdfast_simulation.memory_clock import ManualMarketClock
from holdfast_simulation.memory_venue import MemoryBroker

OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
CLOSE = datetime(2013, 10, 7, 20, 0, tzinfo=UTC)
SYMBOLS = ("BAC", "IBM", "SPY")
STRATEGY = "sma"
TURNS = 5_000
"""Turns of the event loop after which a condition that does not hold is a failure."""


class Prices:
    """PricesCalls of signal, told by hand."""

    def __init__(self) -> None:
        self._told: asyncio.Queue[signal.WatchResponse] = asyncio.Queue()
        self._sequence = 0

    def tell(self, *prices: signal.Price) -> None:
        self._sequence += 1
        self._told.put_nowait(signal.WatchResponse(sequence=self._sequence, prices=prices))

    async def watch(self, request: signal.WatchRequest) -> AsyncIterator[signal.WatchResponse]:
        while True:
            yield await self._told.get()


def bars_of(symbol: str, rows: list[tuple[str, str, str, str]], volume: int) -> list[Bar]:
    """Minute bars from the open on: open, high, low, close."""
    return [
        Bar(symbol, OPEN + MINUTE * n, OPEN + MINUTE * (n + 1), *[Decimal(each) for each in row], Decimal(volume))
        for n, row in enumerate(rows)
    ]


def _nothing() -> None:
    """Nobody watches the progress of a loop here."""


def _is_of_the_engine(task: "asyncio.Task[Any]") -> bool:
    """What the engine has begun beside its loops: sends, and what is stored for a caller."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and "holdfast_execution" in code.co_filename


class Desk:
    """One account's stack. `start` begins a process on the ledger file, `kill` ends it without a word."""

    def __init__(
        self, folder: Path, bars: list[Bar], config: dict[str, Any], schedule: ScheduleSettings | None
    ) -> None:
        pairs = tuple(sorted({bar.symbol for bar in bars if "/" in bar.symbol}))
        symbols, book = (pairs, "crypto") if pairs else (SYMBOLS, "equity")
        recording = Recording(symbols=symbols, minute_bars=tuple(bars), minute_quotes=(), daily_bars=(), quarantined=())
        self.clock = ManualMarketClock(OPEN)
        self.monotonic = ManualMonotonicClock()
        exchange = Exchange("desk", Market(recording, OPEN - MINUTE), ExchangeConfig(slippage_bps=Decimal(0), **config))
        self.broker = MemoryBroker(exchange, self.clock, self.monotonic)
        self.settings = Settings(
            state_dir=folder,
            strategies=(StrategySettings(id=STRATEGY, kind="sma", symbols=symbols, book=book, schedule=schedule),),
        )
        self.url = f"sqlite:///{folder / 'ledger.db'}"
        self._processes = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._database: Database | None = None
        self.engine: Engine
        self.service: ExecutionService
        self.lease: LeaseKeeper
        self.prices: Prices
        self.activity: ActivityTracker
        self.runner: Inline

    # --- processes

    async def start(self, *, clean: bool = True, settles: bool = True, supervised: bool = False) -> None:
        """A process that takes the lease and the broker's word over. `clean`: reconciliation says so, too; `settles`:
        nothing is left unresolved that needs longer; `supervised`: loops that fail are begun again, as in life."""
        self._processes += 1
        self._database, ledger = open_ledger(self.url, "paper")
        self.runner = Inline(ledger)
        self.prices, self.activity = Prices(), ActivityTracker()

        parts = assemble(
            runner=self.runner,
            holder=f"desk-{self._processes}",
            broker=self.broker,
            prices=self.prices,
            market_clock=self.clock,
            monotonic_clock=self.monotonic,
            activity=self.activity,
            settings=self.settings,
        )
        self.lease, self.engine, self.service = parts.lease, parts.engine, parts.service
        turns = {name: partial(loop, _nothing) for name, loop in parts.loops.items()}
        self._tasks = [
            asyncio.ensure_future(supervise(name, turn, self.monotonic, _nothing) if supervised else turn())
            for name, turn in turns.items()
        ]
        await self.until(lambda: self.lease.is_holder, advancing=True)
        if not settles:
            await self.until(lambda: self.engine.stream_up, advancing=True)
            return
        await self.until(lambda: self.engine.settled or self.engine.guard.shut, advancing=True)
        if clean and not self.engine.guard.shut:
            await self.verdict()
            await self.settled()

    async def kill(self) -> None:
        """As kill -9: nothing is finished, nothing is given up."""
        begun = [task for task in asyncio.all_tasks() if _is_of_the_engine(task)]
        for task in (*self._tasks, *begun):
            task.cancel()
        await asyncio.gather(*self._tasks, *begun, return_exceptions=True)
        self._tasks = []
        if self._database is not None:
            self._database.close()

    async def verdict(
        self, state: execution.ReconciliationState.ValueType = execution.RECONCILIATION_STATE_CLEAN
    ) -> None:
        """Reconciliation's word, as of now."""
        verdict = execution.ReconciliationVerdict(state=state, market_time=to_timestamp(self.clock.now()))
        await self.service.record_verdict(execution.RecordVerdictRequest(verdict=verdict))

    # --- time

    async def until(self, condition: Callable[[], bool], *, advancing: bool = False) -> None:
        """Turns the event loop until `condition`; `advancing` moves monotonic time meanwhile."""
        for turn in range(TURNS):
            for task in self._tasks:
                if task.done():
                    task.result()
            if condition():
                return
            if advancing and turn % 50 == 49:
                self.monotonic.advance(0.05)
            await asyncio.sleep(0)
        raise AssertionError(f"not within {TURNS} turns of the event loop: {await self.story()}")

    async def settled(self) -> None:
        """Until everything that can be done now is done; monotonic time moves as far as that takes."""
        for _ in range(20):
            await asyncio.sleep(0)
        await self.until(lambda: self.activity.settled, advancing=True)

    async def pass_secs(self, secs: float) -> None:
        """Monotonic time goes by in small steps, as it does."""
        for _ in range(int(secs / 0.05)):
            self.monotonic.advance(0.05)
            for _ in range(30):
                await asyncio.sleep(0)

    async def minute(self, number: int) -> None:
        """The bar that starts `number` minutes after the open becomes visible; everything it leads to is done."""
        self.broker.tick(OPEN + MINUTE * (number + 1))
        await self.settled()

    async def at(self, instant: datetime) -> None:
        """Market time moves on without data."""
        self.clock.set(instant)
        await self.settled()

    async def story(self) -> str:
        """What is open, for a failure's message."""
        rows = await self.intents()
        told = [f"{row.intent_id}: {row.state} leg {row.leg} attempts {row.attempts} {row.reason}" for row in rows]
        return f"locked {self.engine.books.locked_reason!r}, {told}, calls {self.broker.calls[-12:]}"

    # --- what is asked and what is seen

    def decision(self, symbol: str = "SPY", *, exit_: bool = False, **changes: Any) -> gate.Decision:
        """An allowed decision of this instant."""
        direction = common.DIRECTION_EXIT_LONG if exit_ else common.DIRECTION_ENTER_LONG
        word = "EXIT_LONG" if exit_ else "ENTER_LONG"
        now = self.clock.now()
        decision = gate.Decision(
            signal_id=f"{STRATEGY}.{symbol}.{now:%H%M%S}.{word}",
            cycle_id=f"{STRATEGY}.{now:%H%M%S}",
            strategy=STRATEGY,
            symbol=symbol,
            book=common.BOOK_CRYPTO if "/" in symbol else common.BOOK_EQUITY,
            direction=direction,
            allowed=True,
            reason="ALLOWED",
            market_time=to_timestamp(now),
            valid_until=to_timestamp(now + timedelta(seconds=changes.pop("valid_secs", 60))),
            traceparent="",
        )
        decision.score.value = changes.pop("score", 3.0)
        if not exit_:
            decision.quantity.CopyFrom(common.Decimal(value=str(changes.pop("quantity", 10))))
            decision.reference_price.CopyFrom(common.Decimal(value="100"))
            decision.limit_price.CopyFrom(common.Decimal(value=str(changes.pop("limit_price", "101"))))
            decision.stop_price.CopyFrom(common.Decimal(value=str(changes.pop("stop_price", "95"))))
        for name, value in changes.items():
            setattr(decision, name, value)
        return decision

    async def submit(self, *decisions: gate.Decision) -> execution.SubmitResponse:
        request = execution.SubmitRequest(
            cycle_id=decisions[0].cycle_id, strategy=STRATEGY, decisions=decisions, market_time=decisions[0].market_time
        )
        return await self.service.submit(request)

    async def enter(self, symbol: str = "SPY", **changes: Any) -> None:
        """An entry that is sent."""
        answer = await self.submit(self.decision(symbol, **changes))
        assert [each.reason for each in answer.decisions] == ["ALLOWED"]
        await self.settled()

    async def intents(self) -> list[IntentRow]:
        """Every intent ever, oldest first."""
        state = await self.runner.read(lambda ledger: ledger.ledger_state(datetime(2000, 1, 1, tzinfo=UTC)))
        return sorted(state.intents, key=lambda row: row.created_at)

    async def one(self, purpose: Purpose, symbol: str = "SPY") -> IntentRow:
        """The one intent of that purpose."""
        found = [row for row in await self.intents() if row.purpose is purpose and row.symbol == symbol]
        assert len(found) == 1, await self.story()
        return found[0]

    async def position(self, symbol: str = "SPY") -> PositionRow:
        row = await self.runner.read(lambda ledger: ledger.position(symbol))
        assert row is not None
        return row

    async def halts(self) -> list[HaltRow]:
        return await self.runner.read(lambda ledger: ledger.halts())

    async def put_right(self) -> None:
        """A person clears every halt, and starts the strategy again."""
        for halt in await self.halts():
            await self.service.clear_halt(execution.ClearHaltRequest(halt_id=halt.halt_id, cleared_by="person"))
        await self.service.start_strategy(execution.StartStrategyRequest(strategy=STRATEGY, started_by="person"))

    async def snapshot(self) -> execution.LedgerSnapshot:
        stream = self.service.watch_snapshot(execution.WatchSnapshotRequest())
        try:
            return (await anext(stream)).snapshot
        finally:
            await stream.aclose()

    def orders(self, symbol: str = "SPY") -> list[Order]:
        """Every order the venue ever accepted for the symbol."""
        return [order for order in self.broker.exchange.orders.values() if order.symbol == symbol]

    def resting(self, symbol: str = "SPY") -> list[Order]:
        return [order for order in self.orders(symbol) if order.is_open]

    def price(self, symbol: str, last: str, **changes: Any) -> signal.Price:
        """A price that signal tells: a bar that has just ended."""
        price = signal.Price(
            symbol=symbol,
            last=to_decimal(Decimal(last)),
            low=to_decimal(Decimal(last)),
            high=to_decimal(Decimal(last)),
            bar_time=to_timestamp(self.clock.now()),
            bar_interval_secs=60,
            feed_connected=True,
        )
        for name, value in changes.items():
            setattr(price, name, value)
        return price


@pytest.fixture
async def make_desk(tmp_path: Path) -> AsyncIterator[Callable[..., Desk]]:
    """`make_desk(SPY=[(open, high, low, close), …], volume=…)`: not started yet."""
    made: list[Desk] = []

    def make(
        *,
        volume: int = 100_000,
        config: dict[str, Any] | None = None,
        bars: list[Bar] | None = None,
        schedule: ScheduleSettings | None = None,
        **rows: Any,
    ) -> Desk:
        flat = [("100", "100.5", "99.5", "100")] * 30
        bars = bars or [bar for symbol in SYMBOLS for bar in bars_of(symbol, rows.get(symbol, flat), volume)]
        folder = tmp_path / f"desk-{len(made)}"
        folder.mkdir()
        desk = Desk(folder, sorted(bars, key=lambda bar: (bar.end, bar.symbol)), config or {}, schedule)
        desk.broker.tick(OPEN)
        made.append(desk)
        return desk

    yield make
    for desk in made:
        await desk.kill()


@pytest.fixture
async def desk(make_desk: Callable[..., Desk]) -> Desk:
    """A desk at work after the first minute of a flat market at 100."""
    started = make_desk()
    started.broker.tick(OPEN + MINUTE)
    await started.start()
    return started
