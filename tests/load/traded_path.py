"""Holdfast's own path under load: the real services as processes, and this process in the place of `signal`.

It publishes cycles on the bus and serves the prices under signal's certificate. Everything else is the product: NATS,
scoring, gate, execution with its ledger on disk, papermarket behind HTTP. Only limits are raised, by configuration.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import polars as pl
from measuring import cpu_secs, percentiles

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.signal.v1 import signal_pb2 as pb
from holdfast_cli.plan import Plan, lay_out
from holdfast_cli.supervisor import State, Supervisor
from holdfast_core.ids import StrategyId, Symbol, cycle_id, signal_id
from holdfast_runtime.activity import ActivityTracker
from holdfast_runtime.bus.nats_bus import NatsBus
from holdfast_runtime.bus.streams import FACTS
from holdfast_runtime.clock import SystemMonotonicClock
from holdfast_runtime.identity import load_identity
from holdfast_runtime.ports.calls import PricesCalls
from holdfast_runtime.rpc.server import RpcServer
from holdfast_runtime.settings import Settings
from holdfast_runtime.telemetry import traces
from holdfast_runtime.wire import to_timestamp

SPEED = 100
"""Market seconds a second: a minute's rates of the account and of the venue then last 0.6 s."""
SESSION = datetime(2013, 10, 8, 13, 30, tzinfo=UTC)
LAST_BAR = datetime(2013, 10, 8, 19, 59, tzinfo=UTC)
PRICE = Decimal(100)
STRATEGIES = ("bench-a", "bench-b", "bench-c", "bench-d")
"""Several: each may send one entry a second of market time."""
CYCLE_SIGNALS = 64
VALID_UNTIL = datetime(2013, 10, 8, 19, 58, tzinfo=UTC)
PATIENCE_SECS = 60.0
STAGES = ("scoring", "gate", "submit", "committed", "claim", "post", "sent", "answered")
"""In their order: at scoring, at gate, submitted, durable, claimed, posted, written to the socket, answered."""
SERVICES = ("nats", "papermarket", "execution", "gate", "scoring", "reconciliation")


@dataclass(frozen=True, slots=True)
class Path5:
    """Milliseconds from the publication of a cycle to each stage, p50 and p99; rate in signals a second."""

    stages: dict[str, tuple[float, float]]
    rate: float
    cpu_ms: dict[str, float]
    """CPU time of each process for one cycle."""
    rate_cpu_ms: dict[str, float]


@dataclass(slots=True)
class Times:
    """When a cycle reached each stage, in nanoseconds of the wall clock."""

    published: int = 0
    at: dict[str, int] = field(default_factory=dict)


def write_recording(folder: Path, symbols: list[str]) -> None:
    """One bar at the open and one at the close: prices stand, and nothing fills in between."""
    folder.mkdir(parents=True)
    rows = [(symbol, start) for start in (SESSION, LAST_BAR) for symbol in symbols]
    price = [float(PRICE)] * len(rows)
    frame = pl.DataFrame(
        {
            "symbol": [symbol for symbol, _ in rows],
            "ts": [start for _, start in rows],
            **dict.fromkeys(("open", "high", "low", "close"), price),
            "volume": [1e9] * len(rows),
        },
        schema_overrides={"ts": pl.Datetime("us", "UTC")},
    )
    frame.write_parquet(folder / "bars_1m.parquet")


def settings_for(folder: Path, symbols: list[str]) -> Settings:
    """The product's settings with raised limits."""
    write_recording(folder / "recording", symbols)
    strategy = {"kind": "sma_crossover", "symbols": symbols, "allocation": 1000}
    return Settings.model_validate(
        {
            "state_dir": folder / "state",
            "replay": {
                "recording": folder / "recording",
                "start": (SESSION + timedelta(minutes=2)).isoformat(),
                "speed": SPEED,
                "starting_cash": 10_000_000,
                "roster": ("scoring", "gate", "execution", "reconciliation"),
            },
            "strategies": [{"id": each, **strategy} for each in STRATEGIES],
            "feed": {"quote_stale_secs": 86_400},
            "venue": {"requests_per_minute": 200},
            "gate": {
                "max_positions": 10_000,
                "max_new_per_cycle": 1,
                "cooldown_secs": 0,
                "entries_per_minute": 200,
                "max_entries_per_symbol_day": 1_000,
            },
            "execution": {"verdict_max_age_secs": 86_400},
            "reconciliation": {"interval_secs": 86_400},
        }
    )


class BoardOfPrices:
    """Implements PricesCalls: one quote of each symbol, told once."""

    def __init__(self, symbols: list[str]) -> None:
        price = common.Decimal(value=str(PRICE))
        self._prices = [
            pb.Price(
                symbol=symbol,
                bid=price,
                ask=price,
                last=price,
                low=price,
                high=price,
                quote_time=to_timestamp(SESSION + timedelta(minutes=2)),
                bar_time=to_timestamp(SESSION + timedelta(minutes=2)),
                bar_interval_secs=60,
                feed_connected=True,
            )
            for symbol in symbols
        ]

    async def watch(self, _: pb.WatchRequest) -> AsyncIterator[pb.WatchResponse]:
        yield pb.WatchResponse(sequence=1, prices=self._prices, snapshot=True)
        await asyncio.Event().wait()


class Bench:
    """A running stack, and this process in it as `signal`."""

    def __init__(self, plan: Plan, bus: NatsBus, supervisor: Supervisor, market_now: datetime) -> None:
        self._plan = plan
        self._bus = bus
        self._supervisor = supervisor
        self._now = market_now
        self._acked: set[str] = set()
        self._news = asyncio.Event()
        self.times: dict[str, Times] = {}

    async def follow_facts(self) -> None:
        """Notes the symbols whose orders the broker has acknowledged."""
        async for message in self._bus.read(FACTS, "facts.v1.intent"):
            intent = execution.Fact.FromString(message.payload).intent
            if intent.state == execution.INTENT_STATE_ACKED:
                self._acked.add(intent.symbol)
                self._news.set()

    def cycle_of(self, strategy: str, symbols: list[str]) -> pb.Cycle:
        """A cycle that wants all the symbols, the first one most. One span a signal, as the service has it."""
        self._now += timedelta(seconds=1)
        price = common.Decimal(value=str(PRICE))
        signals = []
        for rank, symbol in enumerate(symbols):
            identity = signal_id(StrategyId(strategy), Symbol(symbol), self._now, "enter_long")
            with traces.span("signal", signal_id=identity, symbol=symbol, direction="enter_long") as span:
                signals.append(
                    pb.Signal(
                        signal_id=identity,
                        symbol=symbol,
                        direction=common.DIRECTION_ENTER_LONG,
                        strength=1.0 if rank == 0 else 0.9,
                        target_weight=common.Decimal(value="1"),
                        reference_price=price,
                        stop_fraction=common.Decimal(value="0.05"),
                        features={"sma_fast": 100.1, "sma_slow": 99.9, "distance_bps": 20.0},
                        traceparent=span.traceparent,
                    )
                )
        return pb.Cycle(
            cycle_id=cycle_id(StrategyId(strategy), self._now),
            strategy=strategy,
            book=common.BOOK_EQUITY,
            market_time=to_timestamp(self._now),
            ingest_time=to_timestamp(self._now),
            valid_until=to_timestamp(VALID_UNTIL),
            signals=signals,
        )

    async def publish(self, number: int, symbols: list[str]) -> str:
        """Publishes one cycle, in a trace of its own; returns the trace id."""
        strategy = STRATEGIES[number % len(STRATEGIES)]
        with traces.span("signal.cycle", strategy=strategy) as span:
            cycle = self.cycle_of(strategy, symbols)
            payload = cycle.SerializeToString(deterministic=True)
            trace_id = span.traceparent.split("-")[1]
            self.times[trace_id] = Times(published=time.time_ns())
            await self._bus.publish(
                f"cycles.v1.{strategy}",
                payload,
                message_id=cycle.cycle_id,
                headers={"traceparent": span.traceparent},
            )
        return trace_id

    async def until_acked(self, symbols: set[str]) -> None:
        async with asyncio.timeout(PATIENCE_SECS):
            while not symbols <= self._acked:
                self._news.clear()
                await self._news.wait()

    def cpu(self) -> dict[str, float]:
        found = {c.process.name: cpu_secs(c.pid) for c in self._supervisor.children if c.pid is not None}
        return found | {"signal": cpu_secs(__import__("os").getpid())}

    async def read_stages(self, wanted: set[str]) -> None:
        """Fills in the times of the wanted traces from the trace files, once all of them are written."""
        async with asyncio.timeout(PATIENCE_SECS):
            while True:
                traces.flush()
                for span in _spans(self._plan.settings.state_dir / "traces"):
                    times = self.times.get(span["traceId"])
                    if times is not None:
                        _note(times, span)
                if all(self.times[trace].at.keys() >= set(STAGES) for trace in wanted):
                    return
                await asyncio.sleep(0.3)


def _spans(folder: Path) -> Iterator[dict[str, Any]]:
    for file in folder.glob("*.jsonl"):
        for line in file.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                for resource in json.loads(line)["resourceSpans"]:
                    yield from resource["scopeSpans"][0]["spans"]


def _note(times: Times, span: dict[str, Any]) -> None:
    start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
    match span["name"]:
        case "scoring.cycle":
            times.at["scoring"] = start
        case "gate.evaluate":
            times.at["gate"] = start
        case "execution.submit":
            times.at["submit"], times.at["committed"] = start, end
        case "execution.send":
            times.at["claim"] = start
        case "broker.submit_order":
            times.at["post"], times.at["answered"] = start, end
            for event in span.get("events", ()):
                times.at["sent"] = int(event["timeUnixNano"])


@contextlib.asynccontextmanager
async def running(folder: Path, symbols: list[str]) -> AsyncIterator[Bench]:
    """Starts nats, papermarket and the services, except those that this process stands in for or does not need."""
    plan = lay_out(settings_for(folder, symbols), {"PATH": "/usr/bin:/bin"}, live=False)
    traces.setup("signal", plan.settings)
    supervisor = Supervisor(tuple(each for each in plan.processes if each.name in SERVICES))
    stack = asyncio.create_task(supervisor.run())
    clock = SystemMonotonicClock()
    identity = load_identity(plan.folder / "certificates", "signal")
    server = RpcServer(identity=identity, clock=clock, activity=ActivityTracker())
    server.add(PricesCalls, BoardOfPrices(symbols), {})
    await server.start(plan.settings.endpoints["signal"])
    token = (plan.folder / "secrets" / "scoring" / "NATS_TOKEN").read_text()
    bus = NatsBus(url=plan.settings.bus.url, name="bench", token=token)
    tasks = []
    try:
        async with asyncio.timeout(PATIENCE_SECS):
            while not all(child.state is State.READY for child in supervisor.children):
                await asyncio.sleep(0.1)
                if stack.done():
                    stack.result()
        await bus.connect()
        bench = Bench(plan, bus, supervisor, await _market_now(plan))
        tasks.append(asyncio.create_task(bench.follow_facts()))
        yield bench
    finally:
        for task in tasks:
            task.cancel()
        await bus.close()
        await server.stop(0)
        stack.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await stack
        traces.shutdown(3.0)


async def _market_now(plan: Plan) -> datetime:
    """Market time, once it runs."""
    url = f"http://{plan.settings.endpoints['papermarket.http']}/papermarket/v1/status"
    async with asyncio.timeout(PATIENCE_SECS), httpx.AsyncClient(trust_env=False) as http:
        while True:
            status = (await http.get(url)).json()
            if status["running"] and datetime.fromisoformat(status["market_time"]) > SESSION + timedelta(minutes=2):
                return datetime.fromisoformat(status["market_time"])
            await asyncio.sleep(0.1)


async def measure(folder: Path, *, single: int, batches: int, warmup: int = 30) -> Path5:
    """`single` cycles of one signal, one at a time; then `batches` cycles of 64 signals, as fast as they go."""
    entries = [f"E{number:04d}" for number in range(warmup + single + batches + 8)]
    others = [f"O{number:02d}" for number in range(CYCLE_SIGNALS - 1)]
    fresh = iter(entries)
    async with running(folder, entries + others) as bench:
        for number in range(warmup):
            await bench.publish(number, [symbol := next(fresh)])
            await bench.until_acked({symbol})
        traced, before = set(), bench.cpu()
        for number in range(single):
            traced.add(await bench.publish(number, [symbol := next(fresh)]))
            await bench.until_acked({symbol})
        cpu_ms = _per(before, bench.cpu(), single)
        await bench.read_stages(traced)
        stages = {
            stage: percentiles([(bench.times[t].at[stage] - bench.times[t].published) / 1e6 for t in traced])
            for stage in STAGES
        }
        for number in range(8):
            await bench.publish(number, [symbol := next(fresh), *others])
            await bench.until_acked({symbol})
        traced, before, symbols = set(), bench.cpu(), set()
        for number in range(batches):
            symbols.add(symbol := next(fresh))
            traced.add(await bench.publish(number, [symbol, *others]))
        await bench.until_acked(symbols)
        rate_cpu_ms = _per(before, bench.cpu(), batches)
        await bench.read_stages(traced)
        first = min(bench.times[t].published for t in traced)
        last = max(bench.times[t].at["committed"] for t in traced)
        rate = batches * CYCLE_SIGNALS / ((last - first) / 1e9)
    return Path5(stages, rate, cpu_ms, rate_cpu_ms)


def _per(before: dict[str, float], after: dict[str, float], count: int) -> dict[str, float]:
    return {name: (after[name] - before[name]) * 1000 / count for name in after}
