"""Protection, the exit handover and the stop monitor as pure rules (order protocol; invariants 7 to 9)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_core.instruments import on_tick, round_price
from holdfast_execution.domain.exits import ExitStep, must_rearm, next_move
from holdfast_execution.domain.prices import sendable, stop_below
from holdfast_execution.domain.protection import Need, PriceView, Rules, Watch, due, watch_stop
from holdfast_execution.domain.rates import EntryRates
from holdfast_execution.domain.views import HoldingView, OrderView, Owner, Phase, Role

NOW = datetime(2013, 10, 7, 15, 0, tzinfo=UTC)
CLOSES = datetime(2013, 10, 7, 20, 0, tzinfo=UTC)
TEN = Decimal(10)
STOP = OrderView(
    intent_id="stop",
    role=Role.STOP,
    phase=Phase.LIVE,
    quantity=TEN,
    filled=Decimal(0),
    time_in_force="gtc",
    stop_price=Decimal(95),
)
STOP_OF_FOUR = replace(STOP, intent_id="stop-2", quantity=Decimal(4))
ENTRY = OrderView(
    intent_id="entry", role=Role.ENTRY, phase=Phase.LIVE, quantity=TEN, filled=Decimal(0), time_in_force="day"
)
EXIT = OrderView(
    intent_id="exit",
    role=Role.EXIT,
    phase=Phase.PENDING,
    quantity=TEN,
    filled=Decimal(0),
    time_in_force="day",
    owner=Owner.EXIT,
)
FLATTEN = replace(EXIT, intent_id="flatten", role=Role.FLATTEN, owner=Owner.FLATTEN)


def holding(*orders: OrderView, quantity: Decimal = TEN, owner: Owner = Owner.STOP) -> HoldingView:
    return HoldingView(
        symbol="SPY", strategy="sma", quantity=quantity, stop_price=Decimal(95), owner=owner, orders=orders
    )


def needs(view: HoldingView, *, now: datetime = NOW, now_secs: float = 0.0) -> list[tuple[Need, Decimal]]:
    actions = due(view, Rules(), now=now, now_secs=now_secs, closes_at=CLOSES)
    return [(action.need, action.quantity) for action in actions]


def test_a_held_quantity_without_a_stop_gets_one() -> None:
    assert needs(holding()) == [(Need.PLACE_STOP, TEN)]


def test_a_protected_quantity_needs_nothing() -> None:
    assert needs(holding(STOP)) == []


def test_what_a_stop_does_not_cover_gets_its_own() -> None:
    assert needs(holding(replace(STOP, quantity=Decimal(4)))) == [(Need.PLACE_STOP, Decimal(6))]


def test_a_stop_for_more_than_is_held_is_made_smaller() -> None:
    """Invariants 7 and 8: by a replacement, so that what is held is never without it (point 12)."""
    large = replace(STOP, quantity=Decimal(11))
    assert needs(holding(large)) == [(Need.SHRINK_STOP, TEN)]
    assert needs(holding(large, quantity=Decimal("10.5"))) == [(Need.SHRINK_STOP, TEN)]


def test_a_stop_that_cannot_be_replaced_is_cancelled() -> None:
    """Point 12: replacing is for whole-share stops only, and what has filled in part is on its way."""
    large = replace(STOP, quantity=Decimal(11))
    cancel = [(Need.CANCEL, Decimal(0))]
    assert needs(holding(replace(large, quantity=Decimal(14), filled=Decimal(2)))) == cancel
    assert needs(replace(holding(large), book="crypto")) == cancel
    assert needs(holding(STOP, STOP_OF_FOUR, quantity=Decimal(4))) == cancel
    assert needs(holding(STOP_OF_FOUR, replace(STOP, quantity=Decimal(14)))) == [(Need.SHRINK_STOP, TEN - 4)]
    assert needs(holding(replace(large, phase=Phase.PENDING))) == [(Need.DROP_UNSENT, Decimal(0))]


def test_a_sleeping_leg_protects_nothing_while_its_entry_is_partial() -> None:
    partial = replace(ENTRY, filled=Decimal(4), first_fill_at=NOW)
    leg = replace(STOP, dormant=True)
    young = holding(partial, leg, quantity=Decimal(4))
    assert needs(young) == [(Need.LOOK_AGAIN, Decimal(0))]
    assert needs(young, now=NOW + timedelta(seconds=2)) == [(Need.CUT_ENTRY, Decimal(0))]
    cut = holding(replace(leg, orphan=True), quantity=Decimal(4))
    assert needs(cut) == [(Need.CANCEL, Decimal(0)), (Need.PLACE_STOP, Decimal(4))]


def test_an_unknown_stop_has_five_seconds() -> None:
    unknown = replace(STOP, phase=Phase.UNCERTAIN, uncertain_since_secs=0.0)
    assert needs(holding(unknown), now_secs=4.9) == [(Need.LOOK_AGAIN, Decimal(0))]
    assert needs(holding(unknown), now_secs=5.0) == [(Need.FLATTEN, Decimal(0))]


def test_day_stops_are_extended_in_the_sweep_before_the_close() -> None:
    day = replace(STOP, time_in_force="day")
    assert needs(holding(day)) == [(Need.LOOK_AGAIN, Decimal(0))]
    assert needs(holding(day), now=CLOSES - timedelta(seconds=600)) == [(Need.EXTEND_STOP, Decimal(0))]
    assert needs(holding(STOP), now=CLOSES - timedelta(seconds=1)) == []


def test_a_stop_of_nothing_is_cancelled_unless_it_waits_for_its_entry() -> None:
    assert needs(holding(STOP, quantity=Decimal(0))) == [(Need.CANCEL, Decimal(0))]
    assert needs(holding(ENTRY, replace(STOP, dormant=True), quantity=Decimal(0))) == []


def test_an_exit_that_is_over_arms_the_stop_again() -> None:
    view = holding(owner=Owner.EXIT)
    assert must_rearm(view)
    assert needs(view) == [(Need.REARM, Decimal(0))]


def test_the_handover_step_by_step() -> None:
    """Store the owner → cancel → confirmed → read → sell at most the remainder."""
    first = next_move(holding(STOP, EXIT), EXIT, Owner.EXIT, broker_quantity=None)
    assert first.step is ExitStep.STORE_OWNER
    owned = holding(STOP, EXIT, owner=Owner.EXIT)
    assert next_move(owned, EXIT, Owner.EXIT, broker_quantity=None).step is ExitStep.CANCEL
    cancelling = holding(replace(STOP, phase=Phase.CANCELLING), EXIT, owner=Owner.EXIT)
    assert next_move(cancelling, EXIT, Owner.EXIT, broker_quantity=None).step is ExitStep.AWAIT
    free = holding(EXIT, owner=Owner.EXIT)
    assert next_move(free, EXIT, Owner.EXIT, broker_quantity=None).step is ExitStep.READ_POSITION
    assert next_move(free, EXIT, Owner.EXIT, broker_quantity=Decimal(7)).quantity == 7
    assert next_move(free, EXIT, Owner.EXIT, broker_quantity=Decimal(0)).step is ExitStep.NOTHING_HELD


def test_a_flatten_goes_before_a_scheduled_sale_and_a_triggered_stop_before_both() -> None:
    both = holding(EXIT, FLATTEN)
    assert next_move(both, EXIT, Owner.EXIT, broker_quantity=None).step is ExitStep.YIELD
    assert next_move(both, FLATTEN, Owner.FLATTEN, broker_quantity=None).step is not ExitStep.YIELD
    triggered = holding(replace(STOP, filled=Decimal(3)), EXIT, quantity=Decimal(7))
    assert next_move(triggered, EXIT, Owner.EXIT, broker_quantity=None).step is ExitStep.AWAIT


def test_a_flatten_waits_for_no_unknown_stop() -> None:
    unknown = replace(STOP, phase=Phase.UNCERTAIN)
    view = holding(unknown, FLATTEN, owner=Owner.FLATTEN)
    assert next_move(view, FLATTEN, Owner.FLATTEN, broker_quantity=TEN).step is ExitStep.SELL


phases = st.sampled_from([Phase.PENDING, Phase.UNCERTAIN, Phase.LIVE, Phase.CANCELLING])


@given(
    stop=st.none() | phases,
    entry=st.none() | phases,
    held=st.integers(0, 20),
    broker=st.none() | st.integers(-5, 25),
    owner=st.sampled_from(sorted(Owner)),
)
def test_nothing_is_sold_beside_another_order_or_beyond_what_is_held(
    stop: Phase | None, entry: Phase | None, held: int, broker: int | None, owner: Owner
) -> None:
    """Invariant 8, from every state."""
    others = [replace(order, phase=phase) for order, phase in ((STOP, stop), (ENTRY, entry)) if phase is not None]
    view = holding(*others, EXIT, quantity=Decimal(held), owner=owner)
    quantity = None if broker is None else Decimal(broker)
    move = next_move(view, EXIT, Owner.EXIT, broker_quantity=quantity)
    if move.step is ExitStep.SELL:
        assert not others
        assert view.owner is Owner.EXIT
        assert broker is not None
        assert 0 < move.quantity <= min(held, broker)


@given(quantities=st.lists(st.integers(1, 10), max_size=4), held=st.integers(0, 30))
def test_stops_never_cover_more_than_is_held(quantities: list[int], held: int) -> None:
    """What `due` asks for brings the covered quantity to what is held, from either side."""
    stops = [replace(STOP, intent_id=f"s{n}", quantity=Decimal(q)) for n, q in enumerate(quantities)]
    covered = sum(quantities)
    asked = needs(holding(*stops, quantity=Decimal(held)))
    if held == 0:
        assert all(need is Need.CANCEL for need, _ in asked)
    elif covered < held:
        assert asked == [(Need.PLACE_STOP, Decimal(held - covered))]
    elif covered > held:
        kept = max(quantities) - (covered - held)
        assert asked == [(Need.SHRINK_STOP, Decimal(kept)) if kept > 0 else (Need.CANCEL, Decimal(0))]
    else:
        assert asked == []


def test_the_monitor_waits_five_seconds_and_believes_no_stale_feed() -> None:
    """Invariant 9."""
    through = PriceView(last=Decimal(94), low=None, bid=None, fresh=True)
    bound = timedelta(seconds=5)
    view = holding(STOP)
    assert watch_stop(view, through, breached_at=None, now=NOW, bound=bound) is Watch.WAIT
    assert watch_stop(view, through, breached_at=NOW, now=NOW + bound, bound=bound) is Watch.SELL
    stale = replace(through, fresh=False)
    assert watch_stop(view, stale, breached_at=NOW, now=NOW + bound, bound=bound) is Watch.SUSPENDED
    above = replace(through, last=Decimal(96))
    assert watch_stop(view, above, breached_at=None, now=NOW, bound=bound) is Watch.REST


prices = st.decimals("0.0002", "100000", places=4)


@given(price=prices, up=st.sampled_from([True, False, None]))
def test_every_price_is_on_its_tick(price: Decimal, up: bool | None) -> None:
    """Pennies from one dollar on, sub-pennies below."""
    assert on_tick(round_price(price, up=up))


@given(price=st.decimals("1.01", "10000", places=2), fraction=st.decimals("0.001", "0.5", places=3))
def test_stops_risk_no_more_than_asked(price: Decimal, fraction: Decimal) -> None:
    assert stop_below(price, fraction) >= price * (1 - fraction)


def test_a_price_from_elsewhere_is_rounded_to_the_safe_side() -> None:
    assert sendable(Decimal("10.005"), selling=False) == Decimal("10.00")
    assert sendable(Decimal("10.005"), selling=True) == Decimal("10.01")
    assert sendable(None, selling=True) is None
    with pytest.raises(ValueError, match="no price"):
        sendable(Decimal(0), selling=False)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2_000)), max_size=40), st.integers(1, 5))
def test_rates_hold_over_every_window(wishes: list[tuple[str, int]], per_minute: int) -> None:
    """Invariant 16: 1/s for each strategy, so many a minute for the account."""
    rates = EntryRates(per_minute)
    sent: list[tuple[str, datetime]] = []
    now = NOW
    for strategy, after_ms in wishes:
        now = rates.free_at(strategy, now + timedelta(milliseconds=after_ms))
        rates.sent(strategy, now)
        sent.append((strategy, now))
    for strategy, at in sent:
        same = [other for name, other in sent if name == strategy and at <= other < at + timedelta(seconds=1)]
        assert len(same) == 1
        window = [other for _, other in sent if at <= other < at + timedelta(seconds=60)]
        assert len(window) <= per_minute
