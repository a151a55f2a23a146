"""People list, stop and start strategies (SQ-10, SQ-12, SQ-14)."""

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution.domain.intents import Purpose
from holdfast_execution.domain.strategies import trade_state
from holdfast_runtime.errors import Code, Malformed, Refused
from holdfast_simulation.memory_venue import Fault


async def listed(desk: Any) -> execution.Strategy:
    (strategy,) = (await desk.service.list_strategies(execution.ListStrategiesRequest())).strategies
    return strategy


async def stop(desk: Any, note: str = "earnings") -> execution.Strategy:
    request = execution.StopStrategyRequest(strategy="sma", stopped_by="ann", note=note)
    return (await desk.service.stop_strategy(request)).strategy


async def start(desk: Any, note: str = "all is well") -> execution.Strategy:
    request = execution.StartStrategyRequest(strategy="sma", started_by="ann", note=note)
    return (await desk.service.start_strategy(request)).strategy


async def test_a_strategy_that_has_done_nothing_is_listed_as_running(desk: Any) -> None:
    found = await listed(desk)
    assert (found.strategy, found.state, found.trade_state) == ("sma", "running", "none")
    assert not found.positions
    assert not found.open_intents


async def test_a_list_shows_what_is_held_and_what_is_open(desk: Any) -> None:
    await desk.enter()
    await desk.minute(1)
    found = await listed(desk)
    assert found.trade_state == "bought"
    assert [each.symbol for each in found.positions] == ["SPY"]
    assert [each.purpose for each in found.open_intents] == [execution.PURPOSE_STOP]


async def test_a_sale_on_a_signal_leaves_the_strategy_sold(desk: Any) -> None:
    await desk.enter()
    await desk.minute(1)
    await desk.submit(desk.decision(exit_=True))
    await desk.settled()
    await desk.minute(2)
    assert (await listed(desk)).trade_state == "sold"


async def test_a_stop_that_filled_leaves_the_strategy_exited_by_sl(make_desk: Callable[..., Any]) -> None:
    """SQ-7, SQ-12."""
    desk = make_desk(SPY=[("100", "100.5", "99.5", "100")] * 3 + [("94", "94", "93", "93")] * 3)
    desk.broker.tick(desk.clock.now())
    await desk.start()
    await desk.enter()
    for number in range(5):
        await desk.minute(number)
    assert (await listed(desk)).trade_state == "exited_by_sl"


@pytest.mark.parametrize(
    ("last_sale", "word"),
    [
        (None, "none"),
        (Purpose.EXIT, "sold"),
        (Purpose.STOP, "exited_by_sl"),
        (Purpose.FLATTEN, "exited_by_sl"),
    ],
)
def test_the_last_sale_tells_how_the_strategy_left(last_sale: Purpose | None, word: str) -> None:
    assert trade_state(holds=False, last_sale=last_sale) == word
    assert trade_state(holds=True, last_sale=last_sale) == "bought"


async def test_a_person_stops_and_starts_it_and_a_restart_changes_nothing(
    desk: Any,
) -> None:
    """SQ-10: it stays stopped until a person starts it."""
    stopped = await stop(desk)
    assert (stopped.state, stopped.reason, stopped.set_by) == ("stopped", "earnings", "ann")
    await desk.kill()
    await desk.start()
    assert (await listed(desk)).state == "stopped"
    answer = await desk.submit(desk.decision())
    assert [each.reason for each in answer.decisions] == ["STRATEGY_STOPPED"]
    assert (await start(desk)).state == "running"
    await desk.enter("IBM")


async def test_what_is_asked_twice_is_answered_as_it_is(desk: Any) -> None:
    first = await stop(desk)
    assert await stop(desk, note="once more") == first
    started = await start(desk)
    assert await start(desk, note="once more") == started


async def test_an_unknown_strategy_is_refused_with_the_known_ones(desk: Any) -> None:
    for call in (
        desk.service.stop_strategy(execution.StopStrategyRequest(strategy="smaa", stopped_by="ann")),
        desk.service.start_strategy(execution.StartStrategyRequest(strategy="smaa", started_by="ann")),
    ):
        with pytest.raises(Refused, match="no strategy 'smaa', only sma") as refused:
            await call
        assert (refused.value.code, refused.value.reason) == (Code.NOT_FOUND, "STRATEGY_UNKNOWN")


async def test_who_says_so_has_to_be_told(desk: Any) -> None:
    with pytest.raises(Malformed, match="stopped_by"):
        await desk.service.stop_strategy(execution.StopStrategyRequest(strategy="sma"))
    with pytest.raises(Malformed, match="started_by"):
        await desk.service.start_strategy(execution.StartStrategyRequest(strategy="sma"))


async def test_nothing_is_started_while_the_broker_refuses_the_credentials(desk: Any) -> None:
    """SQ-3, SQ-14: first good credentials, then a person starts it."""
    desk.broker.script("submit_order", Fault.UNAUTHORISED)
    await desk.submit(desk.decision())
    await desk.until(lambda: desk.engine.guard.shut)
    with pytest.raises(Refused, match="the broker refuses the account's credentials") as refused:
        await start(desk)
    assert refused.value.reason == "CREDENTIALS_REFUSED"


async def test_without_the_lease_nothing_is_steered_and_everything_is_listed(desk: Any) -> None:
    await desk.lease.stop()
    for call in (stop, start):
        with pytest.raises(Refused, match="lease is held by") as refused:
            await call(desk)
        assert refused.value.reason == "NOT_HOLDER"
    assert (await listed(desk)).state == "running"
