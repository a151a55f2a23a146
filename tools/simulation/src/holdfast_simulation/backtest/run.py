"""One backtest: every service on one loop with virtual time, in lock-step with a recording.

The ticks are those of `holdfast up --speed max`: the same instants (replay.Replay), the same rule for when the next one
goes out (papermarket's Barrier), the same settings. So are the decisions, the orders and the fills.
"""

import asyncio
import gc
import logging
import random
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast.papermarket.v1 import market_clock_pb2 as market_clock
from holdfast.reconciliation.v1 import reconciliation_pb2 as reconciliation
from holdfast.signal.v1 import signal_pb2 as signal
from holdfast_exchange import recording_told
from holdfast_exchange import replay as replays
from holdfast_exchange.combining import Combined, load_defaults, load_folder
from holdfast_exchange.commands import Advance
from holdfast_exchange.exchange import Exchange
from holdfast_exchange.market import Market
from holdfast_execution.adapters.sql import tables
from holdfast_execution.adapters.sql.sql_ledger import open_ledger
from holdfast_papermarket import account_json, trading_json
from holdfast_papermarket.barrier import Barrier
from holdfast_papermarket.opening import exchange_config
from holdfast_runtime.flows import DATA, TRADE_UPDATES
from holdfast_runtime.ports.calls import ExecutionCalls, PricesCalls, ReconciliationCalls
from holdfast_runtime.settings import Settings
from holdfast_runtime.wire import to_timestamp
from holdfast_simulation.backtest.feed import RecordedFeed
from holdfast_simulation.backtest.metrics import Point
from holdfast_simulation.backtest.quiet import Quiet
from holdfast_simulation.backtest.services import Signal
from holdfast_simulation.memory_bus import MemoryBus
from holdfast_simulation.memory_clock import ManualMarketClock
from holdfast_simulation.world.clocks import WorldMonotonicClock
from holdfast_simulation.world.faults import Weather
from holdfast_simulation.world.loop import SeededLoop, Spinning, Stalled
from holdfast_simulation.world.services import Execution, Gate, Ground, Process, Reconciliation, Scoring
from holdfast_simulation.world.venue import VenueServer
from holdfast_simulation.world.wire import Wire

ACCOUNT = "backtest"
Progress = Callable[[int, int], None]
FAILURES_TOLD = 3
STUCK_SECS = 300.0
"""Of virtual time within one tick: longer than every deadline and every retry of the services."""


class BacktestFailed(Exception):
    """The run cannot be believed; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run has come to."""

    ledger: execution.GetLedgerResponse
    verdict: execution.ReconciliationVerdict
    prices: tuple[signal.Price, ...]
    decisions: tuple[gate.Decision, ...]
    exchange: Exchange
    """The venue as it is in the end."""
    books: Mapping[str, Any]
    """The venue's own books, as papermarket tells them."""
    curve: tuple[Point, ...]
    recording: Mapping[str, Any]
    """The recording in words and numbers (recording_told), with notes."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What is replayed. It may be run any number of times."""

    combined: Combined
    replay: replays.Replay


def open_recording(settings: Settings) -> Opened:
    """Reads the recording that the settings name, as papermarket does. Raises RecordingInvalid."""
    told, books = settings.replay, settings.active_books
    if told.recording is None:
        combined = load_defaults(books, symbols=told.symbols)
    else:
        combined = load_folder(told.recording, books, symbols=told.symbols)
    return Opened(combined, replays.plan(combined.recording, start=told.start, end=told.end))


def run(
    settings: Settings,
    opened: Opened,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    *,
    every_instant: bool = False,
) -> Outcome:
    """Replays it to its end. `progress` is told instants done and in all. `every_instant`: quiet ones too, at which
    nothing can happen (quiet): the same comes of it, more slowly.

    Raises BacktestFailed where a service failed, and AskPerson where the settings do not fit the recording.
    """
    # What was loaded outlives the run: looked through by every collection it would cost a quarter of a quiet year.
    gc.freeze()
    try:
        return _Backtest(settings, opened, progress, every_instant=every_instant).live()
    finally:
        gc.unfreeze()


class _Backtest:
    def __init__(self, settings: Settings, opened: Opened, progress: Progress, *, every_instant: bool) -> None:
        replay = settings.replay.model_copy(update={"speed": 0.0, "faults": None})
        self._settings = settings.model_copy(update={"replay": replay})
        self._opened = opened
        self._progress = progress
        self._replay = opened.replay
        self._loop = SeededLoop(random.Random(0))
        self._clock = ManualMarketClock(opened.replay.begin)
        self._comparing = ManualMarketClock(opened.replay.begin)
        """Reconciliation's: its rounds come by the clock, and no quiet instant ends for them."""
        recording = opened.combined.recording
        self._exchange = Exchange(
            ACCOUNT, Market(recording, opened.replay.begin), exchange_config(replay, recording.symbols)
        )
        monotonic = WorldMonotonicClock(self._loop, 0.0)
        self._server = VenueServer(exchange=self._exchange, market_clock=self._clock, monotonic_clock=monotonic)
        self._feeds = {book: RecordedFeed(self._exchange.market) for book in self._settings.active_books}
        self._database, _ = open_ledger("sqlite://", self._settings.account.id)
        weather = Weather((), seed=0, now_secs=self._loop.time)
        chance = random.Random(1)
        self._ground = Ground(
            loop=self._loop,
            settings=self._settings,
            database=self._database,
            server=self._server,
            wire=Wire(self._loop, weather, chance),
            weather=weather,
            chance=chance,
            market_clock=self._clock,
        )
        bus = MemoryBus(monotonic)
        self._signal = Signal(self._ground, bus, self._feeds)
        self._execution = Execution(self._ground, "execution")
        self._gate = Gate(self._ground, "gate")
        self._processes: tuple[Process, ...] = (
            self._execution,
            self._gate,
            Reconciliation(replace(self._ground, market_clock=self._comparing), "reconciliation"),
            Scoring(self._ground, bus),
            self._signal,
        )
        self._barrier = Barrier([process.name for process in self._processes])
        self._reports = {process: self._barrier.join() for process in self._processes}
        self._quiet = None if every_instant else Quiet(self._settings, recording, opened.replay, self._exchange)
        self._ticked_secs = 0.0
        self._ended = False
        self._errors: list[str] = []
        self._curve: list[Point] = []

    def live(self) -> Outcome:
        """From the first tick to the last."""
        self._loop.idle = self._tick
        with self._listening():
            try:
                return self._loop.run(self._live())
            except (Spinning, Stalled) as error:
                raise BacktestFailed(f"{type(error).__name__}: {error}") from error
            finally:
                self._loop.clear_away()
                self._database.close()

    async def _live(self) -> Outcome:
        self._over = self._loop.create_future()
        for process in self._processes:
            process.start()
        await self._over
        clock = WorldMonotonicClock(self._loop, 0.0)
        wire = self._ground.wire
        reconciler = wire.remote(ReconciliationCalls, "reconciliation", "operator", clock)
        verdict = (await reconciler.reconcile(reconciliation.ReconcileRequest(reason="report"))).verdict
        calls = wire.remote(ExecutionCalls, "execution", "operator", clock)
        ledger = await calls.get_ledger(execution.GetLedgerRequest(since=Timestamp(seconds=0)))
        prices: tuple[signal.Price, ...] = ()
        async for answer in wire.remote(PricesCalls, "signal", "operator", clock).watch(signal.WatchRequest()):
            prices = tuple(answer.prices)
            break
        self._check()
        await self._stop()
        return Outcome(
            ledger=ledger,
            verdict=verdict,
            prices=prices,
            decisions=self._decisions(),
            exchange=self._exchange,
            books=account_json.books(self._exchange),
            curve=tuple(self._curve),
            recording=self._told(),
        )

    async def _stop(self) -> None:
        """As at SIGTERM: every loop is cancelled and comes to its end."""
        tasks = [task for process in self._processes for task in process.node.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _decisions(self) -> tuple[gate.Decision, ...]:
        """All of them, in the order of their instants."""
        table = tables.decisions
        wanted = sa.select(table.c.decision).order_by(table.c.market_time, table.c.signal_id)
        with self._database.read.connect() as connection:
            return tuple(gate.Decision.FromString(row) for row in connection.execute(wanted).scalars())

    def _told(self) -> dict[str, Any]:
        combined, replay = self._opened.combined, self._replay
        notes = (*combined.notes, *recording_told.notes(combined.recording, replay))
        span = {"from": replay.begin + replays.LEAD, "to": replay.end}
        return (
            recording_told.told(combined.recording, replay)
            | {name: trading_json.instant(at) for name, at in span.items()}
            | {"notes": list(notes)}
        )

    # --- lock-step

    def _tick(self) -> bool:
        """Takes the next tick where the present one is settled; False where it is not, or where there is none."""
        self._check()
        if self._over.done():
            return False
        if not self._settled():
            if self._loop.time() - self._ticked_secs > STUCK_SECS:
                busy = [process.name for process in self._processes if not process.activity.settled]
                why = f"{', '.join(busy)} at work" if busy else "; ".join(self._waiting_for())
                raise BacktestFailed(f"{self._clock.now().isoformat()} does not settle: {why}")
            return False
        if self._ended:
            self._over.set_result(None)
            return True
        left_out, step = self._next_step()
        self._barrier.begin(self._exchange.tick + 1)
        self._pass_over(left_out)
        self._server.carry_out(Advance(self._barrier.number, step.at, step.data))
        if step.data:
            self._publish(left_out)
            self._note_value(step.at)
            self._progress(*self._replay.progress(step.at))
        self._clock.set(step.at)
        self._comparing.set(step.at)
        self._ended = step.ends
        self._ticked_secs = self._loop.time()
        return True

    def _next_step(self) -> tuple[list[datetime], replays.Step]:
        """The quiet instants that are left out, and the step behind them."""
        exchange = self._exchange
        unseen = self._replay.unseen(exchange.now, exchange.market.released) is not None
        if self._quiet is not None and not unseen and not self._signal.waits_for_prices:
            quiet = self._quiet.after(exchange.now, self._clock.next_timer())
            if len(quiet) > 1:
                return quiet[:-1], replays.Step(quiet[-1], data=True)
        return [], self._replay.next_step(exchange.now, exchange.market.released, self._barrier.next_timer())

    def _pass_over(self, left_out: list[datetime]) -> None:
        """What is held has another worth at each of them, and nothing else changes."""
        if self._quiet is not None and self._quiet.holds_nothing:
            worth, held = self._exchange.equity(), Decimal(0)
            self._curve.extend([Point(at, worth, held) for at in left_out])
            return
        for at in left_out:
            self._exchange.market.release(at)
            self._note_value(at)

    def _publish(self, left_out: list[datetime]) -> None:
        for feed in self._feeds.values():
            if left_out:
                feed.make_up(left_out)
            feed.publish()

    def _note_value(self, at: datetime) -> None:
        self._curve.append(Point(at, self._exchange.equity(), self._exchange.market_value()))

    def _settled(self) -> bool:
        if not all(process.activity.settled for process in self._processes):
            return False
        if not (self._execution.lease.is_holder and self._gate.gate.loaded and self._signal.loaded):
            return False
        overnight = self._quiet is not None and self._quiet.overnight(self._exchange.now)
        clocks = (self._clock,) if overnight else (self._clock, self._comparing)
        timers = [timer for clock in clocks if (timer := clock.next_timer()) is not None]
        next_timer = to_timestamp(min(timers, default=None))
        for process, report in self._reports.items():
            sent, received = process.activity.positions
            done = market_clock.Done(
                service=process.name, number=self._barrier.number, sent=sent, received=received, next_timer=next_timer
            )
            self._barrier.take(report, done)
        return not any(self._waiting_for())

    def _waiting_for(self) -> Iterator[str]:
        sent = [feed.sent for feed in self._feeds.values()]
        data = None if None in sent else sum(each or 0 for each in sent)
        updates = self._server.position if self._server.listeners else None
        return self._barrier.waiting_for({DATA: data, TRADE_UPDATES: updates})

    # --- what must not happen

    def _check(self) -> None:
        """Raises BacktestFailed where anything failed: without faults nothing may."""
        again = [process.name for process in self._processes if process.incarnation > 1]
        failures = [*self._errors, *self._ground.wire.failures, *self._loop.failures]
        if again or failures:
            raise BacktestFailed("; ".join(failures[:FAILURES_TOLD] or [f"{', '.join(again)} ended by itself"]))

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Inside, errors that services log are failures of the run; nothing is written."""

        def take(_: Any, __: str, event: MutableMapping[str, Any]) -> Any:
            told = " ".join(f"{key}={value}" for key, value in event.items() if key not in ("event", "exc_info"))
            error = sys.exc_info()[1] if event.get("exc_info") else None
            self._errors.append(f"{self._loop.node.name} {event['event']} {told}{f': {error!r}' if error else ''}")
            raise structlog.DropEvent

        before = structlog.get_config()
        structlog.configure(processors=[take], wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        try:
            yield
        finally:
            structlog.configure(**before)
