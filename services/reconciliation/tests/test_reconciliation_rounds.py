"""A round from both readings to the recorded verdict, and the loop that decides when rounds happen."""

import asyncio
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as pb
from holdfast.reconciliation.v1 import reconciliation_pb2 as reconciliation
from holdfast_reconciliation.reconciler import Reconciler
from holdfast_runtime.errors import Code, Refused, Retry
from holdfast_runtime.ports.venue import (
    BrokerAccount,
    BrokerOrder,
    BrokerPosition,
    FillActivity,
    Side,
    Unauthorised,
    VenueUnavailable,
)
from holdfast_runtime.settings import Settings
from holdfast_runtime.wire import from_timestamp, to_timestamp

NOON = datetime(2013, 10, 7, 16, 0, tzinfo=UTC)
CLEAN, DISCREPANT, UNAVAILABLE = 1, 2, 3


class MarketClock:
    """Stands still until a test moves it."""

    def __init__(self):
        self.at = NOON
        self.sleepers = []

    def now(self):
        return self.at

    async def sleep_until(self, instant):
        while self.at < instant:
            woken = asyncio.Event()
            self.sleepers.append((instant, woken))
            await woken.wait()

    def move(self, instant):
        self.at = instant
        for _, woken in self.sleepers:
            woken.set()
        self.sleepers.clear()


class QuickClock:
    """Monotonic time that passes as soon as it is waited for."""

    def __init__(self):
        self.slept = []

    def now_secs(self):
        return sum(self.slept)

    async def sleep(self, secs):
        self.slept.append(secs)
        await asyncio.sleep(0)


class Flows:
    def __init__(self):
        self.in_flight = 0
        self.positions = {}

    @contextmanager
    def busy(self):
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    def sent(self, flow, position):
        self.positions[flow] = position


def decimal(value):
    return common.Decimal(value=str(value))


class Execution:
    """ExecutionCalls as far as reconciliation uses them."""

    def __init__(self):
        self.ledger = pb.GetLedgerResponse(
            version=7, account=pb.Account(starting_cash=decimal("1000.00"), cash=decimal("1000.00"))
        )
        self.verdicts = []
        self.refreshes = []
        self.asked = []
        self.on_refresh = lambda: None
        self.on_read = lambda: None
        self.away = None
        self.refusal = None
        self.epoch = 1

    async def get_ledger(self, request):
        if self.away is not None:
            raise self.away
        self.asked.append(from_timestamp(request.since))
        self.on_read()
        answer = pb.GetLedgerResponse()
        answer.CopyFrom(self.ledger)
        return answer

    async def refresh(self, request):
        self.refreshes.append(request.reason)
        if self.refusal is not None:
            raise self.refusal
        self.ledger.version += 1
        self.on_refresh()
        return pb.RefreshResponse(ledger_version=self.ledger.version)

    async def record_verdict(self, request):
        self.verdicts.append(request.verdict)
        self.ledger.version += 1
        return pb.RecordVerdictResponse(ledger_version=self.ledger.version)

    async def get_holder(self, request):
        return pb.GetHolderResponse(holder="execution-1", epoch=self.epoch)


class Broker:
    """The venue as far as reconciliation reads it."""

    def __init__(self):
        self.cash = Decimal("1000.00")
        self.settled_cash = None
        self.held = {}
        self.open = []
        self.known = {}
        self.activities = []
        self.trouble = []
        self.refuses = False
        self.calls = []

    def vouch_for_credentials(self):
        self.refuses = False

    def _asked(self, what):
        self.calls.append(what)
        if self.refuses:
            raise Unauthorised("401", steps=("change them",))
        if self.trouble:
            raise self.trouble.pop(0)

    async def account(self):
        self._asked("account")
        return BrokerAccount(
            account_id="a",
            cash=self.cash,
            equity=self.cash,
            buying_power=self.cash,
            trading_blocked=False,
            live=False,
            settled_cash=self.settled_cash,
        )

    async def positions(self):
        return [
            BrokerPosition(symbol=symbol, quantity=Decimal(quantity), average_price=Decimal(100))
            for symbol, quantity in self.held.items()
        ]

    async def orders(self, *, open_only, since=None):
        assert open_only
        return list(self.open)

    async def fills(self, *, since):
        self.calls.append(("fills", since))
        return [each for each in self.activities if each.at >= since]

    async def order(self, order_id):
        self.calls.append(("order", order_id))
        return self.known.get(order_id)


def order(order_id, *, status="new", filled=0, symbol="SPY", client=None, **changes):
    values = {
        "order_id": order_id,
        "client_order_id": client if client is not None else f"hf-{order_id}",
        "symbol": symbol,
        "side": Side.BUY,
        "quantity": Decimal(10),
        "filled_quantity": Decimal(filled),
        "filled_average_price": None,
        "type": "limit",
        "time_in_force": "day",
        "status": status,
        "limit_price": None,
        "stop_price": None,
        "submitted_at": None,
        "updated_at": None,
    }
    return BrokerOrder(**{**values, **changes})


class Stack:
    def __init__(self):
        self.execution = Execution()
        self.broker = Broker()
        self.clock = MarketClock()
        self.quick = QuickClock()
        self.flows = Flows()
        self.reconciler = Reconciler(
            settings=Settings(),
            execution=self.execution,
            broker=self.broker,
            market_clock=self.clock,
            monotonic_clock=self.quick,
            activity=self.flows,
        )

    async def round(self):
        answer = await self.reconciler.reconcile(reconciliation.ReconcileRequest(reason="test"))
        return answer.verdict

    def ledger_intent(self, order_id, state=pb.INTENT_STATE_ACKED, *, symbol="SPY", filled=0):
        return self.execution.ledger.intents.add(
            intent_id=f"i-{order_id}",
            symbol=symbol,
            state=state,
            purpose=pb.PURPOSE_ENTRY,
            client_order_id=f"hf-{order_id}",
            broker_order_id=order_id,
            filled_quantity=decimal(filled),
            updated_at=to_timestamp(NOON - timedelta(minutes=5)),
        )

    def broker_fills(self, order_id, quantity=10):
        self.broker.activities.append(
            FillActivity(
                activity_id="f1",
                order_id=order_id,
                symbol="SPY",
                side=Side.BUY,
                quantity=Decimal(quantity),
                cumulative_quantity=Decimal(quantity),
                price=Decimal(10),
                at=NOON - timedelta(seconds=1),
            )
        )
        self.broker.held["SPY"] = quantity
        self.broker.cash -= 10 * quantity

    def ledger_learns(self, order_id, quantity=10):
        ledger = self.execution.ledger
        ledger.fills.add(broker_order_id=order_id, cumulative_quantity=decimal(quantity))
        ledger.positions.add(
            symbol="SPY",
            quantity=decimal(quantity),
            protection=pb.PROTECTION_ACTIVE,
            updated_at=to_timestamp(NOON),
        )
        ledger.account.cash.value = str(self.broker.cash)
        ledger.version += 1
        for intent in ledger.intents:
            if intent.broker_order_id == order_id:
                intent.state = pb.INTENT_STATE_FILLED


@pytest.fixture
def stack():
    return Stack()


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 conditions of several objects, without an event of their own
            await asyncio.sleep(0)


async def test_equal_books_give_a_clean_verdict_of_this_instant_and_version(stack):
    """FP-4.5."""
    verdict = await stack.round()
    assert (verdict.state, len(verdict.discrepancies), verdict.compared_at_version) == (CLEAN, 0, 7)
    assert from_timestamp(verdict.market_time) == NOON
    assert stack.execution.verdicts == [verdict]
    assert stack.execution.refreshes == []
    assert stack.flows.positions == {"ledger": 8}
    assert stack.flows.in_flight == 0


async def test_nothing_is_compared_before_execution_has_seen_the_brokers_account(stack):
    """FP-4.5: the cash of a ledger that was just made is a zero that means nothing."""
    stack.execution.ledger.account.CopyFrom(pb.Account(cash=decimal(0)))
    with pytest.raises(Retry, match="has not seen"):
        await stack.round()
    assert stack.execution.verdicts == []
    assert stack.broker.calls == []
    stack.execution.ledger.account.CopyFrom(pb.Account(starting_cash=decimal("1000.00"), cash=decimal("1000.00")))
    assert (await stack.round()).state == CLEAN


async def test_a_clean_verdict_tells_what_cash_has_not_settled(stack):
    """BR-7: net of what open entries reserve, which the gates know themselves."""
    assert not (await stack.round()).HasField("unsettled_cash")
    stack.broker.settled_cash = stack.broker.cash - 400
    stack.execution.ledger.account.reserved.value = "150"
    assert Decimal((await stack.round()).unsettled_cash.value) == 250
    stack.broker.settled_cash = stack.broker.cash
    assert not (await stack.round()).HasField("unsettled_cash")


async def test_a_lost_fill_is_taken_over_by_execution_and_compared_again(stack):
    """FP-4.5: auto-reconcile; peers 14: fills dropped at a disconnect."""
    stack.ledger_intent("b1")
    stack.broker.known["b1"] = order("b1", status="filled", filled=10)
    stack.broker_fills("b1")
    stack.execution.on_refresh = lambda: stack.ledger_learns("b1")
    verdict = await stack.round()
    assert verdict.state == CLEAN
    (reason,) = stack.execution.refreshes
    assert "FILL_MISSING SPY" in reason


async def test_a_fill_that_is_on_its_way_costs_a_second_look_and_no_merge(stack):
    """The trade update is faster than the next look."""
    stack.broker_fills("b1")
    reads = []

    def arrives():
        reads.append(1)
        if len(reads) == 3:
            stack.ledger_learns("b1")

    stack.execution.on_read = arrives
    assert (await stack.round()).state == CLEAN
    assert stack.execution.refreshes == []


async def test_a_ledger_that_moves_while_it_is_read_is_compared_again(stack):
    """Ledger, broker, ledger again."""
    reads = []

    def moves():
        reads.append(1)
        if len(reads) < 5:
            stack.execution.ledger.version += 1
            stack.execution.ledger.account.cash.value = "999.00"
        else:
            stack.execution.ledger.account.cash.value = "1000.00"

    stack.execution.on_read = moves
    assert (await stack.round()).state == CLEAN
    assert stack.execution.refreshes == []


async def test_a_ledger_that_never_rests_does_not_keep_a_round_for_ever(stack):
    """Everything is bounded."""

    def moves():
        stack.execution.ledger.version += 1

    stack.execution.on_read = moves
    stack.broker.cash = Decimal(1)
    assert (await stack.round()).state == DISCREPANT
    assert len(stack.quick.slept) < 20


async def test_a_position_that_nothing_explains_is_halted_after_a_merge_did_not_help(stack):
    """FP-4.5: halt on a critical mismatch; peers 1: no opposite fill is invented."""
    stack.broker.held["SPY"] = 3
    verdict = await stack.round()
    assert verdict.state == DISCREPANT
    assert len(stack.execution.refreshes) == 2
    (found,) = verdict.discrepancies
    assert (found.kind, found.symbol, found.action) == ("POSITION_DIFFERS", "SPY", "halt")
    assert (found.ledger_value, found.broker_value) == ("0", "3")


async def test_a_merge_that_is_refused_leaves_the_difference_to_the_verdict(stack):
    """SQ-3: while credentials are refused nobody can gather evidence."""
    stack.execution.refusal = Refused(Code.FAILED_PRECONDITION, "CREDENTIALS_REFUSED", "401")
    stack.broker.held["SPY"] = 3
    verdict = await stack.round()
    assert (verdict.state, verdict.discrepancies[0].action) == (DISCREPANT, "halt")
    assert len(stack.execution.refreshes) == 1


async def test_cash_that_differs_is_waited_for_once_and_then_halts(stack):
    """Invariant 6."""
    stack.broker.cash = Decimal("999.99")
    assert [each.action for each in (await stack.round()).discrepancies] == ["wait"]
    second = await stack.round()
    assert [(each.kind, each.action) for each in second.discrepancies] == [("CASH_DIFFERS", "halt")]
    stack.broker.cash = Decimal("1000.00")
    assert (await stack.round()).state == CLEAN
    stack.broker.cash = Decimal("999.99")
    assert [each.action for each in (await stack.round()).discrepancies] == ["wait"]


async def test_a_foreign_order_halts_its_symbol_and_then_no_longer_the_rest(stack):
    """Invariant 14: foreign orders are listed apart."""
    stack.broker.open = [order("x", symbol="TSLA", client="by hand")]
    first = await stack.round()
    assert (first.state, first.discrepancies[0].kind, first.discrepancies[0].action) == (
        DISCREPANT,
        "ORDER_FOREIGN",
        "halt",
    )
    stack.execution.ledger.halts.add(halt_id="h", kind="reconciliation", symbol="TSLA")
    second = await stack.round()
    assert (second.state, second.discrepancies[0].action) == (CLEAN, "wait")


async def test_an_order_that_was_replaced_is_followed_to_its_successor(stack):
    """Order protocol, point 12."""
    stack.ledger_intent("s1")
    stack.broker.known["s1"] = order("s1", status="replaced", replaced_by="s2")
    stack.broker.known["s2"] = order("s2", replaces="s1")

    def learns():
        stack.execution.ledger.intents[0].broker_order_id = "s2"

    stack.execution.on_refresh = learns
    assert (await stack.round()).state == CLEAN
    assert ("order", "s2") in stack.broker.calls


async def test_an_order_that_was_partially_filled_long_ago_is_no_missing_fill(stack):
    """Peers 2: nothing depends on a lookback."""
    stack.ledger_intent("b1", pb.INTENT_STATE_PARTIALLY_FILLED, filled=4)
    stack.broker.open = [order("b1", status="partially_filled", filled=4)]
    stack.broker.held["SPY"] = 4
    stack.execution.ledger.positions.add(symbol="SPY", quantity=decimal(4), updated_at=to_timestamp(NOON))
    assert (await stack.round()).state == CLEAN


async def test_a_short_outage_of_the_broker_is_waited_for_within_the_round(stack):
    """BR-8; a restart of the venue moves no market time."""
    stack.broker.trouble = [VenueUnavailable("connection refused"), VenueUnavailable("503")]
    assert (await stack.round()).state == CLEAN


async def test_a_long_outage_is_a_verdict_of_its_own(stack):
    """BR-8: entries go on only until the last clean verdict is too old."""
    stack.broker.trouble = [VenueUnavailable("connection refused")] * 50
    verdict = await stack.round()
    assert (verdict.state, len(verdict.discrepancies)) == (UNAVAILABLE, 0)
    assert len(stack.broker.calls) < 30


async def test_however_long_the_broker_is_away_the_loop_is_seen_to_live(stack):
    """BR-8, IN-2: who waits for a broker's maintenance is not stuck, and a restart would help nobody."""
    stack.broker.trouble = [VenueUnavailable("503")] * 2_000
    seen = [0.0]
    running = asyncio.ensure_future(stack.reconciler.run(lambda: seen.append(stack.quick.now_secs())))
    await until(lambda: seen[-1] > 300)
    running.cancel()
    assert max(later - earlier for earlier, later in pairwise(seen)) < 20


async def test_refused_credentials_are_not_tried_again_within_the_round(stack):
    """Invariant 5, SQ-3."""
    stack.broker.trouble = [Unauthorised("401", steps=("change them",))]
    assert (await stack.round()).state == UNAVAILABLE
    assert stack.broker.calls.count("account") == 1


async def test_refused_credentials_are_tried_again_once_a_person_has_cleared_executions_halt(stack):
    """SQ-14: one clear is enough for all who read this account, and nothing is asked before it."""
    stack.broker.refuses = True
    halt = pb.Halt(halt_id="credentials.1", kind="credentials")
    assert (await stack.round()).state == UNAVAILABLE
    stack.execution.ledger.halts.append(halt)
    assert (await stack.round()).state == UNAVAILABLE
    assert stack.broker.refuses
    stack.execution.ledger.halts.remove(halt)
    assert (await stack.round()).state == UNAVAILABLE
    assert (await stack.round()).state == CLEAN


async def test_it_compares_as_soon_as_refused_credentials_are_cleared(stack):
    """SQ-14: entries wait for the comparison; a clear is not left lying for the rest of a long pause."""
    stack.broker.refuses = True
    halt = pb.Halt(halt_id="credentials.1", kind="credentials")
    stack.execution.ledger.halts.append(halt)
    task = asyncio.create_task(stack.reconciler.run(lambda: None))
    await until(lambda: len(stack.execution.verdicts) == 5)
    stack.execution.ledger.halts.remove(halt)
    cleared_secs = stack.quick.now_secs()
    await until(lambda: stack.execution.verdicts[-1].state == CLEAN)
    assert stack.quick.now_secs() - cleared_secs <= 4
    task.cancel()


def lists_of_fills(stack):
    return [since for _, since in (each for each in stack.broker.calls if isinstance(each, tuple))]


async def test_the_list_of_fills_is_gone_through_at_start_now_and_then_and_where_something_differs(stack):
    """It stays cheap, and correct after a restart."""
    await stack.round()
    assert lists_of_fills(stack) == [NOON - timedelta(days=7)]
    stack.clock.at = NOON + timedelta(seconds=30)
    for _ in range(10):
        await stack.round()
    assert len(lists_of_fills(stack)) == 1
    await stack.round()
    assert lists_of_fills(stack)[1:] == [NOON - timedelta(minutes=2)]
    stack.broker.cash = Decimal(5)
    await stack.round()
    assert len(lists_of_fills(stack)) > 2


async def test_the_ledger_is_asked_for_more_than_the_broker(stack):
    """Clocks that differ show nothing missing."""
    await stack.round()
    (ledger_since,) = set(stack.execution.asked)
    assert ledger_since < lists_of_fills(stack)[0]


async def test_a_purchase_and_its_sale_that_left_no_other_mark_are_found_in_the_list_of_fills(stack):
    """Invariant 6: each fill once, and each one."""
    await stack.round()
    for order_id in ("x-buy", "x-sell"):
        stack.ledger_intent(order_id, pb.INTENT_STATE_CANCELLED)
    for side, quantity in ((Side.BUY, 5), (Side.SELL, 5)):
        stack.broker.activities.append(
            FillActivity(
                activity_id=side,
                order_id=f"x-{side}",
                symbol="SPY",
                side=side,
                quantity=Decimal(quantity),
                cumulative_quantity=Decimal(quantity),
                price=Decimal(10),
                at=NOON,
            )
        )
    states = [(await stack.round()).state for _ in range(11)]
    assert states == [CLEAN] * 10 + [DISCREPANT]


async def test_it_compares_at_start_and_on_its_cadence(stack):
    """FP-4.5: at start, every 30 s of market time."""
    task = asyncio.create_task(stack.reconciler.run(lambda: None))
    await until(lambda: len(stack.execution.verdicts) == 1 and stack.clock.sleepers)
    due, _ = stack.clock.sleepers[0]
    assert due == NOON + timedelta(seconds=15)
    stack.clock.move(due)
    await until(lambda: len(stack.execution.verdicts) == 2)
    assert from_timestamp(stack.execution.verdicts[1].market_time) == due
    task.cancel()


async def test_it_compares_as_soon_as_the_broker_is_back_without_market_time_moving(stack):
    """FP-4.5: on reconnect."""
    stack.broker.trouble = [VenueUnavailable("away")] * 7
    task = asyncio.create_task(stack.reconciler.run(lambda: None))
    await until(lambda: len(stack.execution.verdicts) == 2)
    assert [each.state for each in stack.execution.verdicts] == [UNAVAILABLE, CLEAN]
    assert stack.clock.at == NOON
    task.cancel()


@pytest.mark.parametrize("away", [Retry("refused"), Refused(Code.FAILED_PRECONDITION, "NOT_HOLDER", "held elsewhere")])
async def test_it_waits_for_execution_and_then_compares(stack, away):
    stack.execution.away = away
    turns = []
    task = asyncio.create_task(stack.reconciler.run(lambda: turns.append(1)))
    await until(lambda: len(turns) > 3)
    assert stack.execution.verdicts == []
    assert stack.flows.in_flight == 1
    stack.execution.away = None
    await until(lambda: len(stack.execution.verdicts) == 1)
    assert stack.reconciler.compared
    task.cancel()


async def test_it_compares_when_execution_has_a_new_holder(stack, monkeypatch):
    """FP-4.5: on reconnect; the successor may have missed what happened meanwhile."""
    monkeypatch.setattr("holdfast_reconciliation.reconciler.IDLE_SECS", 0.01)
    task = asyncio.create_task(stack.reconciler.run(lambda: None))
    await until(lambda: len(stack.execution.verdicts) == 1 and stack.clock.sleepers)
    stack.execution.epoch = 2
    await until(lambda: len(stack.execution.verdicts) == 2)
    assert stack.clock.at == NOON
    task.cancel()


async def test_two_requests_at_once_are_two_rounds_one_after_the_other(stack):
    verdicts = await asyncio.gather(stack.round(), stack.round())
    assert [each.compared_at_version for each in verdicts] == [7, 8]
