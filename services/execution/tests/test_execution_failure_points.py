"""Each of execution's failure points: brought about on the whole engine, seen by its detector, gone when it heals."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from holdfast.common.v1 import common_pb2 as common
from holdfast_catalogue.readiness import Light, light_of
from holdfast_catalogue.registry import EVERY_SERVICE, of_service
from holdfast_catalogue.sentinel import Watch
from holdfast_exchange.recording import MINUTE, Bar
from holdfast_execution.adapters.sql import tables
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_execution.lease import LeaseKeeper
from holdfast_execution.relay import Relay
from holdfast_execution.watches import watches
from holdfast_runtime.calls import Call, enter
from holdfast_runtime.errors import Retry
from holdfast_runtime.ports.venue import OrderType
from holdfast_runtime.revisions import Revisions
from holdfast_simulation.lookout import Lookout
from holdfast_simulation.manual_clock import ManualMonotonicClock
from holdfast_simulation.memory_bus import MemoryBus
from holdfast_simulation.memory_venue import Fault
from holdfast_venue.breaker import Breaker


class Post:
    """A desk, and the sentinel that looks at it. The sentinel's time is its own: looking does not move the engine's."""

    def __init__(self, desk: Any) -> None:
        self.desk = desk
        self.clock = ManualMonotonicClock()
        self.watches = self.watches_of(desk.lease)
        self.lookout = Lookout("execution", self.watches, self.clock)

    def watches_of(self, lease: LeaseKeeper) -> list[Watch]:
        desk = self.desk
        return watches(desk.engine, lease=lease, runner=desk.runner, settings=desk.settings, monotonic=self.clock)

    def lookout_of(self, lease: LeaseKeeper) -> Lookout:
        """Another process's sentinel, as far as it is about the lease."""
        return Lookout("execution", self.watches_of(lease), self.clock)

    def keeper(self, name: str) -> LeaseKeeper:
        """Another process's hand on the lease."""
        desk = self.desk
        return LeaseKeeper(runner=desk.runner, holder=name, clock=desk.monotonic, market_now=desk.clock.now)

    async def look(self, identity: str, after_secs: float = 2.0) -> Any:
        return await self.lookout.look(identity, after_secs=after_secs)

    async def status(self, identity: str, after_secs: float = 2.0) -> str:
        return await self.lookout.status(identity, after_secs=after_secs)


@pytest.fixture
def post(desk: Any) -> Post:
    return Post(desk)


async def test_every_point_of_execution_is_watched_and_ok_while_all_is_well(post: Post) -> None:
    own = [each for each in of_service("execution") if each.owner != EVERY_SERVICE]
    assert [each.point for each in post.watches] == own
    await post.desk.enter()
    await post.desk.minute(1)
    calls, version = list(post.desk.broker.calls), post.desk.engine.books.version
    await post.look("lease.lost")
    assert {each.id: each.evidence for each in post.lookout.sentinel.messages() if each.status != 1} == {}
    assert (post.desk.broker.calls, post.desk.engine.books.version) == (calls, version)
    assert post.desk.activity.settled


async def test_a_lease_that_nobody_holds_is_an_error_until_it_is_taken(post: Post) -> None:
    """CQ-2, SQ-5: a process that cannot look at the lease yet, and then takes what the last holder gave up."""
    successor = post.keeper("successor")
    found = post.lookout_of(successor)
    assert await found.status("lease.lost") == "WARN"
    message = await found.look("lease.lost", after_secs=6)
    assert (message.status, "nobody" in message.evidence) == (3, True)
    await post.desk.kill()
    await post.desk.lease.stop()
    await successor.turn()
    message = await found.look("lease.lost")
    assert (message.status, message.heals, message.shown["epoch"]) == (1, 0, "2")


async def test_beats_that_do_not_commit_are_an_error(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQ-5: a holder whose ledger is away holds nothing any more; when it is back the same epoch goes on."""

    async def away(call: Any) -> Any:
        raise Retry("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(post.desk.runner, "run", away)
        await post.desk.until(lambda: not post.desk.lease.is_holder, advancing=True)
        assert await post.status("lease.lost") == "WARN"
        message = await post.look("lease.lost", after_secs=6)
        assert (message.status, "beats" in message.evidence) == (3, True)
    await post.desk.until(lambda: post.desk.lease.is_holder, advancing=True)
    assert await post.status("lease.lost") == "OK"


async def test_a_standby_names_the_holder_and_does_not_alarm(post: Post) -> None:
    """CQ-2: two processes on one account."""
    standby = post.keeper("second")
    await standby.turn()
    found = post.lookout_of(standby)
    message = await found.look("lease.standby", after_secs=600)
    assert (message.status, message.shown["holder"]) == (2, "desk-1")
    assert light_of(message) is Light.GREEN
    assert [await found.status(each) for each in ("lease.lost", "entries.locked", "broker.stream_down")] == ["OK"] * 3
    assert found.alerts == []
    assert await post.status("lease.standby") == "OK"


async def test_a_stream_that_is_down_locks_entries_and_shows_until_it_is_back(post: Post) -> None:
    """FP-4.1, BR-8, EX-4, SQ-9: down, merged, back."""
    assert await post.status("broker.stream_down") == "OK"
    post.desk.broker.script("orders", Fault.GATED)
    post.desk.broker.break_stream()
    await post.desk.until(lambda: post.desk.engine.books.locked_reason == "RECONNECTING")
    assert await post.status("broker.stream_down") == "WARN"
    assert await post.status("broker.stream_down", after_secs=6) == "ERROR"
    message = await post.look("entries.locked", after_secs=6)
    assert (message.status, message.shown["reason"]) == (3, "RECONNECTING")
    assert light_of(message) is Light.RED
    post.desk.broker.open_gate()
    await post.desk.settled()
    message = await post.look("broker.stream_down")
    assert (message.status, message.heals) == (1, 1)
    assert await post.status("entries.locked") == "OK"


async def test_an_open_circuit_shows_until_the_broker_answers(post: Post) -> None:
    """BR-8: the breaker itself, as it stands before the broker's REST in this process."""
    breaker = Breaker("broker", post.desk.monotonic)
    assert await post.status("broker.circuit_open") == "OK"
    while not breaker.is_open:
        breaker.failed("no answer in time")
    message = await post.look("broker.circuit_open")
    assert (message.status, "exits" in message.evidence) == (2, True)
    assert await post.status("broker.circuit_open", after_secs=31) == "ERROR"
    breaker.answered(200)
    message = await post.look("broker.circuit_open")
    assert (message.status, message.heals) == (1, 1)


async def test_refused_credentials_are_an_error_until_a_person_clears_the_halt(post: Post) -> None:
    """FP-4.2, BR-4, SQ-3, EX-2, CF-4: told at once, with what to do."""
    post.desk.broker.script("submit_order", Fault.UNAUTHORISED)
    await post.desk.submit(post.desk.decision())
    await post.desk.until(lambda: post.desk.engine.guard.shut)
    message = await post.look("credentials.refused")
    assert (message.status, light_of(message)) == (3, Light.RED)
    assert "credentials.refused" in {each.id for each in post.lookout.alerts}
    assert "Clear the halt" in message.manual_steps[1]
    # The door is shut at once; the halt is written after it.
    async with asyncio.timeout(30):
        while True:
            if "credentials" in {each.kind for each in await post.desk.halts()}:
                break
            await asyncio.sleep(0)
    await post.desk.put_right()
    await post.desk.settled()
    assert await post.status("credentials.refused") == "OK"


async def test_a_halt_is_seen_while_refused_credentials_keep_the_engines_loops_at_rest(post: Post) -> None:
    """SQ-3: what happens to the ledger meanwhile is not shown as it was before."""
    post.desk.broker.script("submit_order", Fault.UNAUTHORISED)
    await post.desk.submit(post.desk.decision())
    await post.desk.until(lambda: post.desk.engine.guard.shut)
    await post.desk.engine.books.write(
        lambda ledger, epoch, now: ledger.add_halt(epoch, now, "reconciliation", "cash differs by 5")
    )
    message = await post.look("halt.standing")
    assert (message.status, "cash differs by 5" in message.evidence) == (3, True)


async def test_a_lost_answer_shows_until_the_order_is_found(post: Post) -> None:
    """SQ-1, SQ-4, BR-2, BR-5, PT-3."""
    assert await post.status("order.unknown") == "OK"
    post.desk.broker.drop_updates = 1
    post.desk.broker.script("submit_order", Fault.LOST_AFTER)
    post.desk.broker.script("order_by_client_id", Fault.GATED)
    await post.desk.submit(post.desk.decision())
    await post.desk.until(lambda: "order_by_client_id" in post.desk.broker.calls, advancing=True)
    entry = await post.desk.one(Purpose.ENTRY)
    assert entry.state is IntentState.UNKNOWN
    message = await post.look("order.unknown")
    assert (message.status, entry.client_order_id in message.evidence) == (2, True)
    assert await post.status("order.unknown", after_secs=61) == "ERROR"
    post.desk.broker.open_gate()
    await post.desk.settled()
    message = await post.look("order.unknown")
    assert (message.status, message.heals, message.shown["unknown"]) == (1, 1, "0")


async def test_a_rejected_order_shows_for_a_while(post: Post) -> None:
    """FP-4.4, SQ-2: the rejection is classified and the intent is over."""
    post.desk.broker.exchange.books.cash = post.desk.broker.exchange.books.cash / 1000
    await post.desk.enter()
    assert (await post.desk.one(Purpose.ENTRY)).state is IntentState.REJECTED
    assert await post.status("order.rejected") == "WARN"
    assert await post.status("order.rejected", after_secs=400) == "OK"


async def test_a_position_whose_stop_is_gone_shows_until_one_is_active(post: Post) -> None:
    """TL-9: at once a warning, beyond the bound an error, gone with the stop."""
    await post.desk.enter()
    await post.desk.minute(1)
    assert (await post.look("position.unprotected")).shown["held"] == "1"
    post.desk.broker.script("submit_order", Fault.GATED)
    await post.desk.broker.cancel_order(post.desk.resting()[0].id)
    await post.desk.until(lambda: any(call.endswith("reducing") for call in post.desk.broker.calls))
    message = await post.look("position.unprotected")
    assert (message.status, "SPY 10" in message.evidence) == (2, True)
    message = await post.look("position.unprotected", after_secs=6)
    assert (message.status, light_of(message)) == (3, Light.RED)
    post.desk.broker.open_gate()
    await post.desk.settled()
    assert await post.status("position.unprotected") == "OK"


async def test_a_part_of_a_coin_is_protected_by_its_stop(make_desk: Any) -> None:
    """TL-9: no alarm about what no order can be about."""
    night = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
    prices = [Decimal(each) for each in ("100", "100.5", "99.5", "100", "1000")]
    starts = [night + MINUTE * number for number in range(5)]
    desk = make_desk(bars=[Bar("BTC/USD", start, start + MINUTE, *prices) for start in starts])
    desk.broker.tick(night + MINUTE)
    await desk.start()
    await desk.enter("BTC/USD", quantity=Decimal("1.7"))
    await desk.minute(1)
    assert (await desk.position("BTC/USD")).stop_quantity == Decimal("1.69575")
    assert await Post(desk).status("position.unprotected") == "OK"


async def test_a_flattened_position_is_told_at_once_and_shows_for_a_while(post: Post) -> None:
    """TL-9: what could not be protected is sold, and a person hears of it."""
    await post.desk.enter()
    await post.desk.minute(1)
    assert await post.status("position.flattened") == "OK"
    post.desk.broker.script("submit_order", Fault.LOST_BEFORE)
    post.desk.broker.script("order_by_client_id", *[Fault.LOST_BEFORE] * 30)
    await post.desk.broker.cancel_order(post.desk.resting()[0].id)
    await post.desk.pass_secs(7.0)
    post.desk.broker.tick(post.desk.clock.now() + timedelta(minutes=1))
    await post.desk.pass_secs(1.0)
    assert (await post.desk.position()).quantity == 0
    assert await post.status("position.flattened") == "ERROR"
    assert [alert.id for alert in post.lookout.alerts if alert.id == "position.flattened"]
    assert await post.status("position.flattened", after_secs=400) == "OK"


async def test_a_sale_under_way_protects_for_half_a_minute(post: Post) -> None:
    """TL-9, SQ-7: the stop is down on purpose while the position is being sold; a sale that hangs protects nothing."""
    await post.desk.enter()
    await post.desk.minute(1)
    post.desk.broker.script("positions", Fault.GATED)
    await post.desk.submit(post.desk.decision(exit_=True))
    await post.desk.until(lambda: post.desk.engine.books.last_seen.positions["SPY"].protection != "active")
    assert await post.status("position.unprotected") == "WARN"
    assert await post.status("position.unprotected", after_secs=29) == "WARN"
    message = await post.look("position.unprotected", after_secs=2)
    assert (message.status, "exit is selling for 31 s" in message.evidence) == (3, True)
    assert "position.unprotected" in [alert.id for alert in post.lookout.alerts]
    post.desk.broker.open_gate()
    await post.desk.settled()
    await post.desk.minute(2)
    assert await post.status("position.unprotected") == "OK"


async def test_a_sale_that_the_broker_took_and_does_not_fill_hangs_too(post: Post) -> None:
    """TL-9: sent and acknowledged is not sold."""
    await post.desk.enter()
    await post.desk.minute(1)
    await post.desk.submit(post.desk.decision(exit_=True))
    await post.desk.settled()
    assert (await post.desk.one(Purpose.EXIT)).state is IntentState.ACKED
    assert await post.status("position.unprotected") == "WARN"
    assert await post.status("position.unprotected", after_secs=31) == "ERROR"
    await post.desk.minute(2)
    assert await post.status("position.unprotected") == "OK"


async def test_a_part_that_is_being_sold_beside_its_stop_is_not_bare_and_may_not_hang(post: Post) -> None:
    """SY-2, TL-9: what the broker has taken for sale needs no stop, for as long as any other sale."""
    await post.desk.enter()
    await post.desk.minute(1)
    part = post.desk.decision(exit_=True, direction=common.DIRECTION_REDUCE_LONG)
    part.quantity.value = "3"
    await post.desk.submit(part)
    await post.desk.settled()
    assert (await post.desk.one(Purpose.REDUCE)).state is IntentState.ACKED
    assert await post.status("position.unprotected") == "WARN"
    assert await post.status("position.unprotected", after_secs=10) == "WARN"
    message = await post.look("position.unprotected", after_secs=20)
    assert (message.status, "a reduction is selling for" in message.evidence) == (3, True)
    await post.desk.minute(2)
    assert await post.status("position.unprotected") == "OK"


async def test_a_safety_abort_is_an_error_until_a_person_starts_the_strategy(post: Post) -> None:
    """SQ-1, SQ-3, SQ-8."""
    post.desk.broker.drop_updates = 1
    post.desk.broker.script("submit_order", Fault.LOST_AFTER)
    post.desk.broker.script("order_by_client_id", *[Fault.LOST_BEFORE] * 3)
    await post.desk.enter()
    message = await post.look("strategy.aborted")
    assert (message.status, "sma: " in message.evidence) == (3, True)
    assert [each.id for each in post.lookout.alerts] == ["strategy.aborted"]
    await post.desk.put_right()
    await post.desk.settled()
    assert await post.status("strategy.aborted") == "OK"


async def test_a_protective_sale_refused_four_times_aborts_its_strategy_once_and_is_tried_on(post: Post) -> None:
    """SQ-7, SQ-2: a person hears of it once, no entry of the strategy is taken, and the sale goes on."""
    desk = post.desk
    await desk.enter()
    await desk.minute(1)
    await desk.minute(2)
    rules = desk.broker.exchange.config
    desk.broker.exchange.config = type(rules)(assets={"SPY": {"tradable": False}})
    desk.prices.tell(desk.price("SPY", "94"))
    await desk.settled()
    desk.clock.set(desk.clock.now() + timedelta(seconds=5))
    await desk.until(lambda: any(each.leg == 4 for each in desk.engine.books.last_seen.loose), advancing=True)
    assert (sales(desk), await desk.halts()) == (3, [])
    await desk.until(lambda: sales(desk) == 4, advancing=True)
    await desk.until(lambda: sales(desk) == 5, advancing=True)
    assert [(each.kind, each.strategy) for each in await desk.halts()] == [("safety_abort", "sma")]
    await post.look("strategy.aborted")
    await post.look("strategy.aborted", after_secs=60)
    assert [alert.id for alert in post.lookout.alerts if alert.id == "strategy.aborted"] == ["strategy.aborted"]
    desk.broker.exchange.config = rules
    await desk.pass_secs(6.0)
    await desk.minute(3)
    assert (await desk.position()).quantity == 0


def sales(desk: Any) -> int:
    """Protective sales that have left."""
    return sum(post.type is OrderType.MARKET for post in desk.broker.posts)


async def test_a_foreign_order_shows_as_a_standing_halt(post: Post) -> None:
    """FP-4.5: of a symbol a warning."""
    post.desk.broker.send_foreign("IBM", Decimal(5), Decimal(90))
    await post.desk.settled()
    message = await post.look("halt.standing")
    assert (message.status, "IBM" in message.evidence) == (2, True)


async def test_a_halt_of_the_account_is_an_error(post: Post) -> None:
    await post.desk.engine.books.write(
        lambda ledger, epoch, now: ledger.add_halt(epoch, now, "reconciliation", "cash differs by 5")
    )
    await post.desk.settled()
    message = await post.look("halt.standing")
    assert (message.status, light_of(message)) == (3, Light.RED)
    await post.desk.put_right()
    await post.desk.settled()
    assert await post.status("halt.standing") == "OK"


async def test_facts_that_wait_for_the_bus_show_until_they_are_out(post: Post) -> None:
    """FP-6.6, SY-4: nothing is lost meanwhile."""
    bus = MemoryBus(post.desk.monotonic)
    relay = Relay(runner=post.desk.runner, bus=bus, lease=post.desk.lease, clock=post.desk.monotonic)
    while await relay.turn():
        pass
    assert await post.status("outbox.behind", after_secs=6) == "OK"
    await post.desk.enter()
    assert await post.status("outbox.behind", after_secs=6) == "OK"
    assert await post.status("outbox.behind", after_secs=11) == "WARN"
    assert await post.status("outbox.behind", after_secs=50) == "ERROR"
    while await relay.turn():
        pass
    message = await post.look("outbox.behind", after_secs=6)
    assert (message.status, message.heals) == (1, 1)


async def test_a_ledger_of_a_newer_program_is_an_error(post: Post) -> None:
    """SQ-8, FP-5.3: beside the running process a newer one has migrated the ledger."""
    engine = sa.create_engine(post.desk.url)
    with engine.begin() as connection:
        connection.execute(sa.update(tables.meta).values(revision=999, oldest_compatible=999))
    engine.dispose()
    message = await post.look("ledger.incompatible")
    assert (message.status, "LEDGER_REQUIRES_NEWER" in message.evidence) == (3, True)
    assert [each.id for each in post.lookout.alerts] == ["ledger.incompatible"]


async def test_a_gate_of_another_release_is_an_error(post: Post) -> None:
    """SQ-8, IN-7: a rollout that stands still half way."""
    await post.look("ledger.incompatible")
    enter(Call(caller="gate", deadline_secs=float("inf"), revisions=Revisions(99, 99)))
    await post.desk.submit(post.desk.decision("IBM"))
    message = await post.look("ledger.incompatible", after_secs=61)
    assert (message.status, "another release" in message.evidence) == (3, True)
