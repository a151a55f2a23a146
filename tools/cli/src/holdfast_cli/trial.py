"""`holdfast test`: sends one signal down the whole chain and finds its decision and its trace (`helm test`).

It can never trade, for three reasons of which each is enough: its validity is over before it is sent, which the gate
and the ledger both check; its strategy cannot be configured; and nobody lists its symbol.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
from rich.console import Console

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2
from holdfast.gate.v1 import gate_pb2
from holdfast.signal.v1 import signal_pb2 as pb
from holdfast_cli.plan import OPERATOR
from holdfast_cli.report_command import say
from holdfast_cli.stack_calls import StackCalls, StackFiles, stack_calls
from holdfast_core.ids import TRIAL, Symbol, cycle_id, signal_id
from holdfast_runtime.bus.nats_bus import NatsBus
from holdfast_runtime.certificates import Certificates
from holdfast_runtime.clock import WallMarketClock
from holdfast_runtime.errors import HoldfastError, Refused, Retry
from holdfast_runtime.wire import to_decimal, to_timestamp

SYMBOL = Symbol("TRIAL")
DIRECTION = "ENTER_LONG"
EXPECTED = "CYCLE_EXPIRED"
AGE = timedelta(seconds=60)
FOUND_WITHIN_SECS = 90.0
LOOK_EVERY_SECS = 0.5
TRACED = frozenset({"scoring", "gate", "execution"})
"""Services that a trace of a decided signal has spans of."""


class TrialFailed(HoldfastError):
    """The signal did not come through as it must; the message says where it ended."""


async def run(files: StackFiles, console: Console, *, jaeger: str) -> bool:
    """Says what became of the signal; True where it went its whole way. `jaeger`: base of a query API, empty: none."""
    try:
        async with stack_calls(files) as calls, _bus(calls, files) as bus:
            trace_id = secrets.token_hex(16)
            cycle = cycle_of(await _market_time(calls), trace_id)
            await bus.publish(
                f"cycles.v1.{TRIAL}",
                cycle.SerializeToString(deterministic=True),
                message_id=cycle.cycle_id,
                headers={"traceparent": cycle.signals[0].traceparent},
            )
            say(console, f"sent {cycle.cycle_id}, trace {trace_id}")
            async with asyncio.timeout(FOUND_WITHIN_SECS):
                judge(await _decision(calls, cycle), trace_id)
                say(console, f"decided: {EXPECTED}, and no order was made of it")
                if jaeger:
                    say(console, f"traced through {', '.join(sorted(await _traced(calls.http, jaeger, trace_id)))}")
    except TimeoutError:
        say(console, f": no decision, or no trace of it, within {FOUND_WITHIN_SECS:.0f} s", alarm="not well")
        return False
    except HoldfastError as error:
        say(console, f": {error}", alarm="not well")
        return False
    return True


def cycle_of(market_time: datetime, trace_id: str) -> pb.Cycle:
    """A cycle of one signal whose validity ended a while before `market_time`. Its ids are unlike any other's."""
    now = WallMarketClock().now()
    parent = f"00-{trace_id}-{secrets.token_hex(8)}-01"
    return pb.Cycle(
        cycle_id=cycle_id(TRIAL, now),
        strategy=TRIAL,
        book=common.BOOK_EQUITY,
        market_time=to_timestamp(market_time - 2 * AGE),
        ingest_time=to_timestamp(now),
        valid_until=to_timestamp(market_time - AGE),
        signals=[
            pb.Signal(
                signal_id=signal_id(TRIAL, SYMBOL, now, DIRECTION),
                symbol=SYMBOL,
                direction=common.DIRECTION_ENTER_LONG,
                reference_price=to_decimal(Decimal(1)),
                target_weight=to_decimal(Decimal(0)),
                traceparent=parent,
            )
        ],
    )


def judge(decision: gate_pb2.Decision, trace_id: str) -> None:
    """Raises TrialFailed unless the decision is the one that a trial's signal must have."""
    if decision.allowed or decision.reason != EXPECTED:
        raise TrialFailed(f"{decision.signal_id} was decided as {decision.reason}, expected: {EXPECTED}")
    if trace_id not in decision.traceparent:
        raise TrialFailed(f"{decision.signal_id} is decided under another trace: {decision.traceparent}")


@asynccontextmanager
async def _bus(calls: StackCalls, files: StackFiles) -> AsyncIterator[NatsBus]:
    """The bus as the operator, who may publish trials and nothing else."""
    settings = calls.settings.bus
    if not settings.encrypted:
        raise TrialFailed("the bus of this stack knows no operator: a trial needs certificates (bus.url: tls://…)")
    tls = Certificates(files.certificates, OPERATOR).client_context
    bus = NatsBus(url=settings.url, name=OPERATOR, replicas=settings.replicas, tls=tls, service=OPERATOR)
    try:
        await bus.connect()
        yield bus
    finally:
        await bus.close()


async def _market_time(calls: StackCalls) -> datetime:
    if not calls.on_papermarket:
        return WallMarketClock().now()
    return datetime.fromisoformat(str((await calls.venue("status"))["market_time"]))


async def _decision(calls: StackCalls, cycle: pb.Cycle) -> gate_pb2.Decision:
    """As the ledger has it, once it is there."""
    asked = execution_pb2.GetDecisionsRequest(signal_ids=[cycle.signals[0].signal_id])
    while True:
        try:
            answer = await calls.execution.get_decisions(asked)
        except (Retry, Refused):
            answer = execution_pb2.GetDecisionsResponse()
        if answer.decisions:
            return answer.decisions[0]
        await asyncio.sleep(LOOK_EVERY_SECS)


async def _traced(http: httpx.AsyncClient, jaeger: str, trace_id: str) -> set[str]:
    """Services with a span in the trace, once all that must be are."""
    while True:
        try:
            answer = await http.get(f"{jaeger}/api/traces/{trace_id}")
            found: dict[str, Any] = answer.json() if answer.is_success else {}
        except (httpx.HTTPError, ValueError):
            found = {}
        names = {each["serviceName"] for trace in found.get("data") or () for each in trace["processes"].values()}
        if all(any(wanted in name for name in names) for wanted in TRACED):
            return names
        await asyncio.sleep(LOOK_EVERY_SECS)
