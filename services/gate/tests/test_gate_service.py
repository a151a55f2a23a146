"""The service around the gates: which facts it waits for, what it stores, and what it answers."""

import asyncio
from contextlib import contextmanager
from datetime import timedelta

import pytest

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast.signal.v1 import signal_pb2 as signal
from holdfast_gate.changes import Changes
from holdfast_gate.prices import Prices
from holdfast_gate.service import GateService
from holdfast_gate.snapshot import Snapshots
from holdfast_runtime.clock import SystemMonotonicClock
from holdfast_runtime.errors import Code, Malformed, Refused, Retry
from holdfast_runtime.wire import to_timestamp


class Flows:
    """An Activity that remembers."""

    def __init__(self):
        self.positions = {}
        self.in_flight = 0

    @contextmanager
    def busy(self):
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    def sent(self, flow, position):
        self.positions["sent", flow] = position

    def received(self, flow, position):
        self.positions["received", flow] = position

    def settled_when(self, condition): ...

    def changed(self): ...


class Clock:
    def __init__(self, now):
        self.at = now

    def now(self):
        return self.at

    async def sleep_until(self, instant):
        raise NotImplementedError


class Stream:
    """A server stream that a test feeds; an exception in it breaks the connection."""

    def __init__(self):
        self.items = asyncio.Queue()
        self.connections = 0

    async def __call__(self, request):
        self.connections += 1
        while True:
            item = await self.items.get()
            if isinstance(item, Exception):
                raise item
            yield item


class Execution:
    """ExecutionCalls as far as the gate uses them: stores what comes first for a signal."""

    def __init__(self):
        self.watch_snapshot = Stream()
        self.stored = {}
        self.requests = []
        self.version = 7
        self.refusal = None

    async def submit(self, request):
        self.requests.append(request)
        if self.refusal is not None:
            raise self.refusal
        replayed = any(each.signal_id in self.stored for each in request.decisions)
        for decision in request.decisions:
            self.stored.setdefault(decision.signal_id, decision)
        if not replayed:
            self.version += 1
        return execution.SubmitResponse(
            decisions=[self.stored[each.signal_id] for each in request.decisions],
            ledger_version=self.version,
            replayed=replayed,
        )


class Stack:
    """The gate service with its two loops running."""

    def __init__(self, settings, now, snapshot):
        self.flows = Flows()
        self.clock = Clock(now)
        self.execution = Execution()
        self.watch = Stream()
        self.snapshot = snapshot
        changes, monotonic = Changes(), SystemMonotonicClock()
        self.snapshots = Snapshots(self.execution, activity=self.flows, clock=monotonic, changes=changes)
        self.prices = Prices(self, activity=self.flows, clock=monotonic, changes=changes)
        self.service = GateService(
            settings=settings,
            market_clock=self.clock,
            monotonic_clock=monotonic,
            execution=self.execution,
            snapshots=self.snapshots,
            prices=self.prices,
            changes=changes,
            activity=self.flows,
        )

    def tell_ledger(self, version):
        self.snapshot.version = version
        copy = execution.LedgerSnapshot()
        copy.CopyFrom(self.snapshot)
        self.execution.watch_snapshot.items.put_nowait(execution.WatchSnapshotResponse(snapshot=copy))

    def tell_prices(self, *symbols, sequence=1, at=None, connected=True):
        at = at or self.clock.at
        response = signal.WatchResponse(sequence=sequence, market_time=to_timestamp(at), snapshot=sequence == 1)
        for symbol in symbols:
            price = response.prices.add(symbol=symbol, bar_interval_secs=60, feed_connected=connected)
            price.last.value = "100"
            price.bar_time.FromDatetime(at)
        self.watch.items.put_nowait(response)


@pytest.fixture
async def stack(world, make_settings, noon):
    found = await start(world, make_settings(), noon)
    yield found
    await stop(found)


@pytest.fixture
async def lock_step(world, make_settings, noon, monkeypatch):
    monkeypatch.setattr("holdfast_gate.service.LONGEST_WAIT_SECS", 0.3)
    settings = make_settings()
    settings = settings.model_copy(update={"replay": settings.replay.model_copy(update={"speed": 0.0})})
    found = await start(world, settings, noon)
    yield found
    await stop(found)


async def start(world, settings, noon):
    stack = Stack(settings, noon, world.snapshot)
    stack.tasks = [
        asyncio.create_task(stack.snapshots.run(lambda: None)),
        asyncio.create_task(stack.prices.run(lambda: None)),
    ]
    stack.tell_ledger(7)
    stack.tell_prices("SPY", "IBM")
    await until(lambda: stack.service.loaded and stack.prices.connected)
    return stack


async def stop(stack):
    for task in stack.tasks:
        task.cancel()
    await asyncio.gather(*stack.tasks, return_exceptions=True)


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 conditions of several objects, without an event of their own
            await asyncio.sleep(0)


async def test_a_batch_is_stored_whole_blocked_decisions_too_and_answered_as_stored(stack, make_request, make_scored):
    """Order protocol, point 2."""
    answer = await stack.service.evaluate(make_request(make_scored("SPY"), make_scored("IBM", score=1.0)))
    (submitted,) = stack.execution.requests
    assert [(each.symbol, each.allowed, each.reason) for each in submitted.decisions] == [
        ("SPY", True, "ALLOWED"),
        ("IBM", False, "SCORE_LOW"),
    ]
    assert submitted.evaluated_at_version == 7
    assert list(answer.decisions) == list(submitted.decisions)
    assert (answer.ledger_version, answer.replayed) == (8, False)
    assert stack.flows.positions["sent", "ledger"] == 8
    assert stack.flows.in_flight == 0


async def test_an_answer_of_changes_only_is_filled_up_and_told_briefly_where_asked(stack, make_request, make_scored):
    """The ledger holds verdicts and scores: whoever only needs the outcome is not sent them."""

    async def otherwise(request):
        stack.execution.requests.append(request)
        changed = gate.Decision(signal_id=request.decisions[0].signal_id, reason="POSITIONS_FULL")
        return execution.SubmitResponse(decisions=[changed], ledger_version=8)

    stack.execution.submit = otherwise
    request = make_request(make_scored("SPY"), make_scored("IBM", score=1.0))
    request.answer_briefly = True
    answer = await stack.service.evaluate(request)
    (submitted,) = stack.execution.requests
    assert submitted.answer_changes_only
    assert [(each.signal_id, each.allowed, each.reason) for each in answer.decisions] == [
        (submitted.decisions[0].signal_id, False, "POSITIONS_FULL"),
        (submitted.decisions[1].signal_id, False, "SCORE_LOW"),
    ]
    assert not any(each.verdicts or each.HasField("score") for each in answer.decisions)


async def test_a_decision_carries_everything_that_its_reader_needs(stack, make_request, make_scored, noon):
    """Every decision has a reason, its verdicts with numbers, its score and its trace."""
    answer = await stack.service.evaluate(make_request(make_scored("SPY"), make_scored("IBM", score=1.0)))
    allowed, blocked = answer.decisions
    assert (allowed.quantity.value, allowed.limit_price.value, allowed.stop_price.value) == ("100", "102.00", "95.00")
    assert allowed.reference_price.value == "100"
    assert allowed.score.value == 3.0
    assert allowed.strength == 0.7
    assert allowed.traceparent == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert allowed.decided_at.ToDatetime(tzinfo=noon.tzinfo) == noon
    assert allowed.valid_until.ToDatetime(tzinfo=noon.tzinfo) == noon + timedelta(seconds=60)
    assert not blocked.HasField("quantity")
    last = blocked.verdicts[-1]
    assert (last.gate, last.outcome, last.reason) == ("score", gate.OUTCOME_BLOCK, "SCORE_LOW")
    assert dict(last.numbers) == {"score": "1.0000", "threshold": "2"}


async def test_the_next_batch_waits_for_the_ledger_that_the_last_one_made(
    stack, make_request, make_scored, monkeypatch
):
    """BS-5: nothing is decided on a version that is known to be old."""
    monkeypatch.setattr("holdfast_gate.service.LONGEST_WAIT_SECS", 60.0)
    await stack.service.evaluate(make_request(make_scored("SPY")))
    second = asyncio.create_task(stack.service.evaluate(make_request(make_scored("IBM"), cycle_id="sma.2")))
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(stack.execution.requests) == 1
    stack.snapshot.open_intents.add(
        intent_id="i1", symbol="IBM", strategy="sma", book=1, purpose=execution.PURPOSE_ENTRY
    )
    stack.tell_ledger(8)
    answer = await second
    assert answer.decisions[0].reason == "POSITION_HELD"
    assert stack.execution.requests[1].evaluated_at_version == 8


async def test_a_ledger_that_does_not_come_is_a_retry_and_nothing_is_stored(
    stack, make_request, make_scored, monkeypatch
):
    """IN-2: bounded waiting."""
    monkeypatch.setattr("holdfast_gate.service.LONGEST_WAIT_SECS", 0.05)
    await stack.service.evaluate(make_request(make_scored("SPY")))
    with pytest.raises(Retry, match="version 7, 8 was committed"):
        await stack.service.evaluate(make_request(make_scored("IBM"), cycle_id="sma.2"))
    assert len(stack.execution.requests) == 1
    assert stack.flows.in_flight == 0


async def test_a_redelivered_cycle_gets_its_stored_decisions_back(stack, make_request, make_scored):
    """BS-3: the same trigger twice trades once."""
    request = make_request(make_scored("SPY"))
    first = await stack.service.evaluate(request)
    stack.snapshot.open_intents.add(
        intent_id="i1", symbol="SPY", strategy="sma", book=1, purpose=execution.PURPOSE_ENTRY
    )
    stack.tell_ledger(8)
    again = await stack.service.evaluate(request)
    assert again.replayed
    assert list(again.decisions) == list(first.decisions)


async def test_execution_without_the_account_is_a_retry(stack, make_request, make_scored):
    """SQ-5: a standby answers NOT_HOLDER before it does anything."""
    stack.execution.refusal = Refused(Code.FAILED_PRECONDITION, "NOT_HOLDER", "held by execution-2")
    with pytest.raises(Retry, match="execution-2"):
        await stack.service.evaluate(make_request(make_scored("SPY")))


async def test_execution_away_is_a_retry_and_the_next_try_is_answered(stack, make_request, make_scored):
    stack.execution.refusal = Retry("connection refused")
    with pytest.raises(Retry):
        await stack.service.evaluate(make_request(make_scored("SPY")))
    stack.execution.refusal = None
    assert (await stack.service.evaluate(make_request(make_scored("SPY")))).decisions[0].allowed


async def test_a_merge_that_ends_soon_does_not_cost_a_signal(stack, make_request, make_scored, monkeypatch):
    """Order protocol, point 11: the lock passes, the decision waits for it."""
    monkeypatch.setattr("holdfast_gate.service.PASSING_WAIT_SECS", 30.0)
    monkeypatch.setattr("holdfast_gate.service.LONGEST_WAIT_SECS", 60.0)
    stack.snapshot.entries_locked_reason = "merging"
    stack.tell_ledger(8)
    await until(lambda: stack.snapshots.view.version == 8)
    running = asyncio.create_task(stack.service.evaluate(make_request(make_scored("SPY"))))
    await asyncio.sleep(0)
    stack.snapshot.entries_locked_reason = ""
    stack.tell_ledger(9)
    assert (await running).decisions[0].allowed


async def test_live_a_lock_that_stays_is_the_reason_of_the_block(stack, make_request, make_scored, monkeypatch):
    monkeypatch.setattr("holdfast_gate.service.PASSING_WAIT_SECS", 0.01)
    stack.snapshot.entries_locked_reason = "no lease"
    stack.tell_ledger(8)
    await until(lambda: stack.snapshots.view.version == 8)
    answer = await stack.service.evaluate(make_request(make_scored("SPY")))
    assert answer.decisions[0].reason == "ENTRIES_LOCKED"


async def test_in_lock_step_what_passes_is_waited_for_and_never_decides(lock_step, make_request, make_scored):
    """A killed service changes no decision: market time stands still meanwhile."""
    lock_step.watch.items.put_nowait(Retry("signal is away"))
    await until(lambda: not lock_step.prices.connected)
    with pytest.raises(Retry, match="prices are disconnected"):
        await lock_step.service.evaluate(make_request(make_scored("SPY")))
    assert not lock_step.execution.requests
    lock_step.tell_prices("SPY", "IBM")
    await until(lambda: lock_step.prices.connected)
    assert (await lock_step.service.evaluate(make_request(make_scored("SPY")))).decisions[0].allowed


async def test_an_expired_cycle_is_decided_at_once_and_exits_wait_for_nothing(
    lock_step, make_request, make_scored, noon
):
    lock_step.watch.items.put_nowait(Retry("signal is away"))
    await until(lambda: not lock_step.prices.connected)
    leaving = make_scored("IBM", signal_id="sma.IBM.exit", direction=2)
    answer = await lock_step.service.evaluate(make_request(leaving))
    assert answer.decisions[0].reason == "NOTHING_HELD"
    lock_step.tell_ledger(8)
    lock_step.clock.at = noon + timedelta(seconds=61)
    answer = await lock_step.service.evaluate(make_request(make_scored("SPY"), cycle_id="sma.2"))
    assert answer.decisions[0].reason == "CYCLE_EXPIRED"


@pytest.mark.parametrize(
    "change",
    [
        {"direction": 0},
        {"direction": 77},
        {"symbol": ""},
        {"signal_id": ""},
        {"target_weight": {"value": "1.5"}},
        {"target_weight": {"value": "-0.1"}},
        {"target_weight": {"value": "many"}},
        {"reference_price": {"value": "12,5"}},
        {"stop_fraction": {"value": "1"}},
    ],
)
async def test_a_signal_that_cannot_be_read_refuses_its_whole_cycle(stack, make_request, make_scored, change):
    """A cycle is whole or absent: malformed input is quarantined with its reason, and orders nothing."""
    with pytest.raises(Malformed):
        await stack.service.evaluate(make_request(make_scored("IBM"), make_scored("SPY", **change)))
    assert not stack.execution.requests


async def test_oversized_duplicated_and_nameless_requests_are_refused(stack, make_request, make_scored):
    with pytest.raises(Malformed, match="257 are more than 256"):
        await stack.service.evaluate(make_request(*(make_scored(f"S{n}") for n in range(257))))
    with pytest.raises(Malformed, match="twice"):
        await stack.service.evaluate(make_request(make_scored("SPY"), make_scored("SPY")))
    with pytest.raises(Malformed, match="cycle_id"):
        await stack.service.evaluate(make_request(make_scored("SPY"), cycle_id=""))
    assert not stack.execution.requests


async def test_an_empty_cycle_is_stored_as_decided(stack, make_request):
    """The strategy's progress moves on with every cycle."""
    answer = await stack.service.evaluate(make_request())
    assert not answer.decisions
    assert len(stack.execution.requests) == 1


async def test_the_ledger_never_goes_back(stack):
    """Invariant 12: an old holder may still stream."""
    stack.tell_ledger(9)
    await until(lambda: stack.snapshots.view.version == 9)
    stack.tell_ledger(8)
    await until(stack.execution.watch_snapshot.items.empty)
    for _ in range(20):
        await asyncio.sleep(0)
    assert stack.snapshots.view.version == 9
    assert stack.flows.positions["received", "snapshot"] == 9


async def test_an_unreadable_price_takes_its_symbol_away_and_no_other(stack):
    """Bad input: quarantined, nothing lost."""
    broken = signal.WatchResponse(sequence=2)
    broken.prices.add(symbol="SPY", feed_connected=True).last.value = "NaN"
    stack.watch.items.put_nowait(broken)
    await until(lambda: "SPY" not in stack.prices.by_symbol)
    assert "IBM" in stack.prices.by_symbol
    assert stack.flows.positions["received", "prices"] == 2


async def test_the_registry_is_listed_in_its_order(stack):
    listed = await stack.service.list_gates(gate.ListGatesRequest())
    assert [each.name for each in listed.gates][:3] == ["cycle_expired", "kill_switch", "entries_locked"]
    assert [each.priority for each in listed.gates if each.name == "kill_switch"] == ["CRITICAL"]
