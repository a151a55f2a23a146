"""Trades by the clock, in the ledger and at the broker (SQ-13, SQ-7, SQ-9, IN-3, TL-3; order protocol, "Timers and
stop")."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast_core.schedules import TradeKind
from holdfast_execution.domain.firings import FiringRow, FiringState, Settlement, settlement
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_execution.rows import ClaimRefused
from holdfast_execution.watches import watches
from holdfast_runtime.schedule_settings import ScheduleSettings
from holdfast_simulation.manual_clock import ManualMonotonicClock
from holdfast_simulation.memory_venue import Fault

OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SALE = "sma.2013-10-07.sell.0934"
SALE_AT = OPEN + 4 * MINUTE
BUY = "sma.2013-10-07.buy.0933"
FALL = [("100", "100.5", "99.5", "100")] * 3 + [("94", "94", "93", "93.5")] * 5


def row(kind: TradeKind = TradeKind.SELL) -> FiringRow:
    return FiringRow(
        firing_id="clock.2013-10-07.sell.0934", strategy="clock", kind=kind, planned_at=SALE_AT, due_at=SALE_AT,
        ends_at=SALE_AT + 5 * MINUTE, state=FiringState.DUE,
    )  # fmt: skip


# --- the rule


@pytest.mark.parametrize(
    ("minutes", "stopped", "ends"),
    [
        (-0.01, False, None),
        (0, False, Settlement(FiringState.DONE)),
        (4.99, False, Settlement(FiringState.DONE)),
        (5, False, Settlement(FiringState.LATE)),
        (60 * 24 * 3, False, Settlement(FiringState.LATE)),
        (0, True, Settlement(FiringState.SKIPPED, "STRATEGY_STOPPED")),
    ],
)
def test_a_sale_fires_at_its_instant_and_late_rather_than_never(minutes: float, stopped: bool, ends: Any) -> None:
    assert settlement(row(), SALE_AT + minutes * MINUTE, stopped=stopped, decided=False) == ends


@pytest.mark.parametrize(
    ("minutes", "stopped", "decided", "ends"),
    [
        (4.99, False, False, None),
        (5, False, True, Settlement(FiringState.DONE)),
        (5, True, True, Settlement(FiringState.DONE)),
        (5, False, False, Settlement(FiringState.SKIPPED, "BUY_MISSED")),
        (5, True, False, Settlement(FiringState.SKIPPED, "STRATEGY_STOPPED")),
    ],
)
def test_a_buy_is_skipped_beyond_its_grace(minutes: float, stopped: bool, decided: bool, ends: Any) -> None:
    assert settlement(row(TradeKind.BUY), SALE_AT + minutes * MINUTE, stopped=stopped, decided=decided) == ends


# --- the engine


async def timed(
    make_desk: Any, *, buy: tuple[str, ...] = (), sell: tuple[str, ...] = ("09:34",), **changes: Any
) -> Any:
    """A desk at work after the first minute, whose strategy has times; a protected position of 10 SPY after it."""
    desk = make_desk(schedule=ScheduleSettings(buy_at=buy, sell_at=sell, grace_secs=60.0), **changes)
    desk.broker.tick(OPEN + MINUTE)
    await desk.start()
    await desk.enter()
    await desk.minute(1)
    assert (await desk.position()).quantity == 10
    return desk


async def due(desk: Any) -> list[str]:
    return [each.firing_id for each in await desk.runner.read(lambda ledger: ledger.firings_due())]


async def told(desk: Any, firing: str) -> list[str]:
    """What the log of the ledger says of a firing."""
    events = await desk.runner.read(lambda ledger: ledger.unpublished(10_000))
    return [each.summary.partition(" is ")[2] for each in events if each.aggregate == f"firing.{firing}"]


def alarm_of(desk: Any) -> Callable[[], str]:
    """Status of the failure point, whenever it is asked for."""
    found = watches(
        desk.engine, lease=desk.lease, runner=desk.runner, settings=desk.settings, monotonic=ManualMonotonicClock()
    )
    (watch,) = [each for each in found if each.point.id == "schedule.late"]
    return lambda: str(watch.detect().status.name)


async def test_everything_is_sold_at_the_planned_time_and_not_before(make_desk: Any) -> None:
    """SQ-13: through the handover, as every exit."""
    desk = await timed(make_desk)
    assert await due(desk) == [SALE]
    await desk.at(SALE_AT - timedelta(seconds=1))
    assert [each.purpose for each in await desk.intents()] == [Purpose.ENTRY, Purpose.STOP]
    assert desk.clock.next_timer() == SALE_AT, "market time stops there"
    await desk.at(SALE_AT)
    stop, sale = await desk.one(Purpose.STOP), await desk.one(Purpose.EXIT)
    assert (stop.state, stop.reason) == (IntentState.CANCELLED, "EXIT_TOOK_OVER")
    assert (sale.state, sale.quantity, sale.created_at) == (IntentState.ACKED, 10, SALE_AT)
    assert (await desk.position()).exit_owner == "exit"
    await desk.minute(4)
    assert (await desk.position()).quantity == 0
    assert await told(desk, SALE) == ["due", "done"]


async def test_a_sale_fires_once_whatever_is_killed_around_it(make_desk: Any) -> None:
    """Each firing trades at most once: settled in the transaction that stores its sale."""
    desk = await timed(make_desk)
    desk.broker.script("positions", Fault.GATED)
    desk.clock.set(SALE_AT)
    await desk.until(lambda: desk.resting() == [], advancing=True)
    await desk.kill()
    desk.broker.open_gate()
    await desk.start()
    await desk.minute(4)
    assert (await desk.position()).quantity == 0
    await desk.kill()
    await desk.start()
    await desk.enter("IBM")
    await desk.minute(5)
    assert (await desk.position("IBM")).quantity == 10
    assert [each.state for each in await desk.intents() if each.purpose is Purpose.EXIT] == [IntentState.FILLED]
    assert await told(desk, SALE) == ["due", "done"]


async def test_a_firing_is_settled_once(make_desk: Any) -> None:
    desk = await timed(make_desk)
    await desk.at(SALE_AT)
    epoch, end = desk.lease.epoch, Settlement(FiringState.DONE)
    with pytest.raises(ClaimRefused) as refused:
        await desk.runner.run(lambda ledger: ledger.settle_firing(epoch, desk.clock.now(), SALE, end))
    assert refused.value.reason == "FIRING_SETTLED"


async def test_a_missed_sale_runs_late_at_the_next_start_and_alarms(make_desk: Any) -> None:
    """Order protocol, "Timers and stop"; SQ-9: timers are armed again at a cold start."""
    desk = await timed(make_desk)
    alarm = alarm_of(desk)
    await desk.kill()
    desk.broker.tick(SALE_AT + 2 * MINUTE)
    await desk.start()
    assert alarm() == "ERROR"
    await desk.minute(7)
    assert (await desk.position()).quantity == 0
    assert await told(desk, SALE) == ["due", "late"]


async def test_a_sale_that_was_missed_for_the_day_runs_at_the_next_open(make_desk: Any) -> None:
    """The stop stays until then."""
    desk = await timed(make_desk)
    await desk.kill()
    close = OPEN.replace(hour=20, minute=0)
    desk.broker.tick(close + MINUTE)
    desk.broker.closed_until = opens = OPEN + timedelta(days=1)
    await desk.start()
    sale = await desk.one(Purpose.EXIT)
    assert sale.state is IntentState.PENDING
    assert (await desk.position()).protection == "active"
    await desk.at(opens)
    assert (await desk.one(Purpose.EXIT)).state is IntentState.ACKED


async def test_a_stop_that_has_sold_before_leaves_the_sale_nothing(make_desk: Any) -> None:
    """SQ-7: a stop overrides a scheduled sale (invariant 9)."""
    desk = await timed(make_desk, SPY=FALL, sell=("09:36",))
    await desk.minute(2)
    await desk.minute(3)
    assert (await desk.position()).quantity == 0
    await desk.at(OPEN + 6 * MINUTE)
    assert [each.purpose for each in await desk.intents()] == [Purpose.ENTRY, Purpose.STOP]
    assert await told(desk, "sma.2013-10-07.sell.0936") == ["due", "done"]


async def test_a_stop_that_fires_while_a_timed_sale_takes_over_leaves_nothing_to_sell(make_desk: Any) -> None:
    """SQ-7, invariant 8: a stop outranks a sale in flight."""
    desk = await timed(make_desk, SPY=FALL, sell=("09:33",))
    desk.broker.script("cancel_order", Fault.LOST_BEFORE)
    desk.broker.script("order", Fault.GATED)
    desk.clock.set(OPEN + 3 * MINUTE)
    await desk.until(lambda: "cancel_order" in desk.broker.calls)
    desk.broker.tick(OPEN + 4 * MINUTE)
    desk.broker.tick(OPEN + 5 * MINUTE)
    desk.broker.open_gate()
    await desk.settled()
    exit_ = await desk.one(Purpose.EXIT)
    assert (exit_.state, exit_.reason) == (IntentState.NOT_SENT, "NOTHING_HELD")
    assert (await desk.one(Purpose.STOP)).state is IntentState.FILLED


async def test_a_sale_ends_an_entry_that_still_works(make_desk: Any) -> None:
    desk = make_desk(schedule=ScheduleSettings(sell_at=("09:34",)))
    desk.broker.tick(OPEN + MINUTE)
    await desk.start()
    await desk.enter(limit_price="98", valid_secs=600)
    await desk.at(SALE_AT)
    assert desk.resting() == []
    assert (await desk.one(Purpose.ENTRY)).reason == "EXIT_TOOK_OVER"
    assert (await desk.one(Purpose.EXIT)).reason == "NOTHING_HELD"


async def test_what_is_being_sold_already_is_not_sold_again(make_desk: Any) -> None:
    desk = await timed(make_desk)
    desk.broker.closed_until = OPEN + 5 * MINUTE
    await desk.submit(desk.decision(exit_=True))
    await desk.at(SALE_AT)
    assert (await desk.one(Purpose.EXIT)).state is IntentState.PENDING


async def test_a_stopped_strategy_keeps_its_stop_and_sells_nothing(make_desk: Any) -> None:
    """SQ-10: stopping cancels timers and keeps the protective stop."""
    desk = await timed(make_desk)
    epoch, alarm = desk.lease.epoch, alarm_of(desk)
    await desk.runner.run(lambda ledger: ledger.set_strategy_state(epoch, desk.clock.now(), "sma", "stopped"))
    await desk.at(SALE_AT)
    assert [each.purpose for each in await desk.intents()] == [Purpose.ENTRY, Purpose.STOP]
    assert (await desk.position()).protection == "active"
    assert await told(desk, SALE) == ["due", "skipped: STRATEGY_STOPPED"]
    assert alarm() == "OK"


async def test_a_failed_strategy_sells_at_its_time_all_the_same(make_desk: Any) -> None:
    """SQ-2: an abort ends entries alone; what reduces risk goes on."""
    desk = await timed(make_desk)
    epoch = desk.lease.epoch
    await desk.runner.run(lambda ledger: ledger.set_strategy_state(epoch, desk.clock.now(), "sma", "failed"))
    await desk.at(SALE_AT)
    await desk.minute(4)
    assert (await desk.position()).quantity == 0
    assert await told(desk, SALE) == ["due", "done"]


async def test_a_buy_that_no_decision_came_of_is_skipped_and_alarms(make_desk: Any) -> None:
    """IN-3: wherever on the way it was lost."""
    desk = await timed(make_desk, buy=("09:33",), sell=("15:50",))
    alarm = alarm_of(desk)
    await desk.at(OPEN + 4 * MINUTE - timedelta(seconds=1))
    assert alarm() == "OK"
    await desk.at(OPEN + 4 * MINUTE)
    assert await told(desk, BUY) == ["due", "skipped: BUY_MISSED"]
    assert alarm() == "ERROR"


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_buy_that_was_decided_is_done(make_desk: Any, allowed: bool) -> None:
    """A decision that blocks is one, too: the gates say why."""
    desk = await timed(make_desk, buy=("09:33",), sell=("15:50",))
    alarm = alarm_of(desk)
    await desk.at(OPEN + 3 * MINUTE)
    decision = desk.decision("IBM", signal_id="sma.IBM.20131007T133300Z.ENTER_LONG", allowed=allowed)
    await desk.submit(decision)
    await desk.at(OPEN + 4 * MINUTE)
    assert await told(desk, BUY) == ["due", "done"]
    assert alarm() == "OK"


async def test_a_buy_that_was_told_as_missed_is_not_bought_after_all(make_desk: Any) -> None:
    """BS-3, SQ-13: this clock was ahead when it gave the buy up; by the one that is right the cycle is in time."""
    desk = await timed(make_desk, buy=("09:33",), sell=("15:50",))
    await desk.at(OPEN + 3 * MINUTE)
    late = desk.decision("IBM", signal_id="sma.IBM.20131007T133300Z.ENTER_LONG", valid_secs=3600)
    await desk.at(OPEN + 4 * MINUTE)
    assert await told(desk, BUY) == ["due", "skipped: BUY_MISSED"]
    (ruled,) = (await desk.submit(late)).decisions
    assert (ruled.allowed, ruled.reason) == (False, "BUY_MISSED")
    assert "IBM" not in [each.symbol for each in await desk.intents()]


async def test_the_next_session_is_planned_at_the_close(make_desk: Any) -> None:
    """Stored before its instant, so that no restart forgets it."""
    desk = await timed(make_desk)
    await desk.at(OPEN.replace(hour=20, minute=0))
    assert await due(desk) == ["sma.2013-10-08.sell.0934"]


async def test_before_an_early_close_the_sale_is_moved_ahead(make_desk: Any) -> None:
    """TL-3: the close at 13:00 on the day after Thanksgiving."""
    desk = await timed(make_desk, sell=("15:50",))
    await desk.kill()
    desk.clock.set(datetime(2013, 11, 28, 15, 0, tzinfo=UTC))
    desk.broker.closed_until = datetime(2013, 11, 29, 14, 30, tzinfo=UTC)
    await desk.start()
    (late,) = [each for each in await desk.intents() if each.purpose is Purpose.EXIT]
    assert late.state is IntentState.PENDING
    rows = await desk.runner.read(lambda ledger: ledger.firings_due())
    assert [(each.firing_id, each.due_at) for each in rows] == [
        ("sma.2013-11-29.sell.1550", datetime(2013, 11, 29, 17, 50, tzinfo=UTC))
    ]


async def test_a_sale_that_was_moved_to_before_this_start_runs_late(make_desk: Any) -> None:
    """IN-3: the time that it had is gone, and the one that it has is over: the day's exit is not lost."""
    desk = await timed(make_desk, sell=("09:37",))
    await desk.kill()
    schedule = ScheduleSettings(sell_at=("09:32",), grace_secs=60.0)
    changed = desk.settings.strategies[0].model_copy(update={"schedule": schedule})
    desk.settings = desk.settings.model_copy(update={"strategies": (changed,)})
    desk.clock.set(OPEN + 4 * MINUTE)
    await desk.start()
    assert await told(desk, "sma.2013-10-07.sell.0932") == ["due", "late"]
    await desk.minute(4)
    assert (await desk.position()).quantity == 0


async def test_times_that_the_configuration_no_longer_has_end_unfired(make_desk: Any) -> None:
    desk = await timed(make_desk)
    await desk.kill()
    strategy = desk.settings.strategies[0]
    schedule = ScheduleSettings(sell_at=("09:37",), grace_secs=60.0)
    changed = strategy.model_copy(update={"schedule": schedule})
    desk.settings = desk.settings.model_copy(update={"strategies": (changed,)})
    await desk.start()
    assert await told(desk, SALE) == ["due", "skipped: SCHEDULE_CHANGED"]
    assert await due(desk) == ["sma.2013-10-07.sell.0937"]
    await desk.at(SALE_AT)
    assert (await desk.position()).exit_owner in ("", "stop")
