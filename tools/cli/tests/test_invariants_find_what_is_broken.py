"""The invariants of the order protocol: found where one example breaks it, held by consistent ledgers (BR-6)."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_cli.invariants import MAX_SENDS, check
from tools.cli.tests.ledgers import Trade, World, amount

SYMBOLS = ("SPY", "IBM", "BAC")
prices = st.decimals(1, 500, places=4)
Break = Callable[[World], object]


def small() -> World:
    """SPY is held with its stop, IBM was bought and sold."""
    return World(
        [
            Trade("SPY", 60, Decimal("165.12")),
            Trade("IBM", 20, Decimal("182.50")),
            Trade("IBM", -20, Decimal("183.75")),
        ]
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Any series of whole trades that never sells more than is held."""
    held = dict.fromkeys(SYMBOLS, 0)
    trades = []
    for _ in range(draw(st.integers(0, 12))):
        symbol = draw(st.sampled_from(SYMBOLS))
        sells = held[symbol] > 0 and draw(st.booleans())
        quantity = -draw(st.integers(1, held[symbol])) if sells else draw(st.integers(1, 500))
        held[symbol] += quantity
        trades.append(Trade(symbol, quantity, draw(prices)))
    return World(trades)


@given(worlds())
def test_a_consistent_ledger_holds_every_invariant(world: World) -> None:
    assert [each for each in check(world.ledger, world.books) if not each.held] == []


def test_without_the_venues_books_its_own_invariants_are_checked_alone() -> None:
    names = [each.name for each in check(small().ledger, None)]
    with_books = [each.name for each in check(small().ledger, small().books)]
    assert names == with_books[: len(names)]
    assert not [name for name in names if "venue" in name]


def _set(message: object, name: str, value: int | Decimal) -> None:
    getattr(message, name).CopyFrom(amount(value))


def order_of_two_intents(world: World) -> None:
    world.ledger.intents.append(world.intent("stop-SPY"))


def two_entries(world: World) -> None:
    for name in ("a", "b"):
        world.add_order(name, Trade("BAC", 10, Decimal(14)), pb.PURPOSE_ENTRY, pb.INTENT_STATE_ACKED)


def sent_too_often(world: World) -> None:
    world.intent("i0").attempts = MAX_SENDS + 1


def position_lost(world: World) -> None:
    _set(world.ledger.positions[0], "quantity", 59)


def position_without_a_fill(world: World) -> None:
    world.ledger.positions.append(pb.Position(symbol="BAC", quantity=amount(1)))


def a_cent_lost(world: World) -> None:
    _set(world.ledger.account, "cash", Decimal(world.books["cash"]) - Decimal("0.01"))


def fill_twice(world: World) -> None:
    world.ledger.fills.append(world.ledger.fills[0])


def filled_beyond_its_quantity(world: World) -> None:
    _set(world.intent("i0"), "filled_quantity", 61)


def no_stop(world: World) -> None:
    world.ledger.positions[0].protection = pb.PROTECTION_NONE


def stop_not_confirmed(world: World) -> None:
    world.ledger.positions[0].protection = pb.PROTECTION_PENDING


def stop_too_small(world: World) -> None:
    _set(world.ledger.positions[0], "stop_quantity", 59)


def stop_given_up_for_a_sale_that_was_not_sent(world: World) -> None:
    no_stop(world)
    world.add_order("exit", Trade("SPY", -60, Decimal(160)), pb.PURPOSE_EXIT, pb.INTENT_STATE_PENDING)


def stop_given_up_for_a_part(world: World) -> None:
    no_stop(world)
    world.add_order("exit", Trade("SPY", -59, Decimal(160)), pb.PURPOSE_FLATTEN, pb.INTENT_STATE_ACKED)


def stop_and_exit_together(world: World) -> None:
    world.add_order("exit", Trade("SPY", -1, Decimal(160)), pb.PURPOSE_EXIT, pb.INTENT_STATE_ACKED)


def outcome_unknown(world: World) -> None:
    world.intent("stop-SPY").state = pb.INTENT_STATE_UNKNOWN


def order_of_nobody(world: World) -> None:
    world.books["orders"].append({"id": "b-x", "client_order_id": "x", "replaced_by": None, "status": "filled"})


def works_on_after_its_end(world: World) -> None:
    world.order("i0")["status"] = "new"


def order_sent_twice(world: World) -> None:
    world.books["orders"].append(world.order("i0") | {"id": "b-again"})


def venue_holds_more(world: World) -> None:
    world.books["positions"][0]["qty"] = "61"


def venue_holds_another_symbol(world: World) -> None:
    world.books["positions"].append({"symbol": "AIG", "qty": "1"})


def fill_never_seen(world: World) -> None:
    world.books["fills"].append({"order_id": "b-i0", "qty": "1"})


def venue_has_other_cash(world: World) -> None:
    world.books["cash"] = str(Decimal(world.books["cash"]) + Decimal("0.01"))


BROKEN: dict[str, tuple[Break, ...]] = {
    "one_intent_per_order": (order_of_two_intents,),
    "every_live_order_has_a_live_intent": (works_on_after_its_end,),
    "one_live_entry_per_symbol": (two_entries,),
    "sends_within_limit": (sent_too_often,),
    "fills_equal_positions": (position_lost, position_without_a_fill),
    "fills_equal_cash": (a_cent_lost,),
    "each_fill_once": (fill_twice,),
    "filled_within_quantity": (filled_beyond_its_quantity,),
    "every_position_has_a_stop": (
        no_stop,
        stop_not_confirmed,
        stop_too_small,
        stop_given_up_for_a_sale_that_was_not_sent,
        stop_given_up_for_a_part,
    ),
    "exits_within_position": (stop_and_exit_together,),
    "nothing_unresolved": (outcome_unknown,),
    "every_order_has_an_intent": (order_of_nobody, order_sent_twice),
    "no_duplicate_order": (order_sent_twice,),
    "ledger_equals_venue_positions": (venue_holds_more, venue_holds_another_symbol),
    "ledger_equals_venue_fills": (fill_never_seen,),
    "ledger_equals_venue_cash": (venue_has_other_cash,),
}


def test_every_invariant_has_an_example_that_breaks_it() -> None:
    world = small()
    assert set(BROKEN) == {each.name for each in check(world.ledger, world.books)}


@pytest.mark.parametrize(
    ("name", "broken"), [(name, each) for name, all_of in BROKEN.items() for each in all_of],
    ids=lambda value: getattr(value, "__name__", value),
)  # fmt: skip
def test_what_breaks_an_invariant_is_found_and_told(name: str, broken: Break) -> None:
    world = small()
    broken(world)
    (found,) = [each for each in check(world.ledger, world.books) if each.name == name]
    assert not found.held
    assert found.detail


def liquidated() -> World:
    """The broker has cancelled the stop of SPY and sold the 60 itself, at 150."""
    world = small()
    world.books["positions"].clear()
    world.books["cash"] = str(Decimal(world.books["cash"]) + 60 * 150)
    world.books["orders"][-1]["status"] = "canceled"
    world.books["orders"].append(
        {"id": "b-x", "client_order_id": "liq-1", "replaced_by": None, "status": "filled", "symbol": "SPY"}
    )
    world.books["fills"].append({"order_id": "b-x", "qty": "60"})
    world.intent("stop-SPY").state = pb.INTENT_STATE_CANCELLED
    return world


def claim(world: World, quantity: int, cash: int) -> None:
    """What a person's claim makes of the ledger."""
    _set(world.ledger.positions[0], "quantity", 60 + quantity)
    world.ledger.positions[0].stop_quantity.value = "0"
    _set(world.ledger.account, "cash", Decimal(world.ledger.account.cash.value) + cash)
    world.ledger.adjustments.append(
        pb.Adjustment(
            adjustment_id="claim.SPY.9", kind="CLAIM", symbol="SPY", quantity=amount(quantity), cash=amount(cash)
        )
    )


def test_a_claim_counts_in_positions_and_cash_and_stands_for_the_orders_of_others() -> None:
    """Invariants 6 and 14: what the broker sold is in the claim, to the cent."""
    world = liquidated()
    broken = {each.name for each in check(world.ledger, world.books) if not each.held}
    assert broken >= {"ledger_equals_venue_positions", "ledger_equals_venue_fills", "every_order_has_an_intent"}
    claim(world, -60, 9000)
    assert [each for each in check(world.ledger, world.books) if not each.held] == []


@pytest.mark.parametrize(("quantity", "cash"), [(-59, 9000), (-60, 8999)])
def test_a_claim_of_something_else_leaves_the_two_sides_apart(quantity: int, cash: int) -> None:
    world = liquidated()
    claim(world, quantity, cash)
    assert [each for each in check(world.ledger, world.books) if not each.held] != []


def test_a_position_whose_sale_waits_at_the_broker_needs_no_stop() -> None:
    """The broker gives shares to one order only: the stop goes before the sale comes."""
    world = small()
    no_stop(world)
    world.ledger.positions[0].stop_quantity.value = "0"
    world.intent("stop-SPY").state = pb.INTENT_STATE_CANCELLED
    world.books["orders"][-1]["status"] = "canceled"
    world.add_order("exit", Trade("SPY", -60, Decimal(160)), pb.PURPOSE_FLATTEN, pb.INTENT_STATE_ACKED)
    assert [each for each in check(world.ledger, world.books) if not each.held] == []


def test_a_chain_of_replacements_is_one_order() -> None:
    """A stop that was moved from DAY to GTC is still the one stop of its intent: the ledger tells each order by its
    id."""
    world = small()
    before = {"id": "b-before", "client_order_id": "x", "replaced_by": "b-stop-SPY", "status": "replaced"}
    before |= {"filled_qty": "0"}
    world.books["orders"].append(before)
    assert [each.name for each in check(world.ledger, world.books) if not each.held] == ["every_order_has_an_intent"]
    world.intent("stop-SPY").past_order_ids.append("b-before")
    assert [each for each in check(world.ledger, world.books) if not each.held] == []


def test_a_leg_that_ended_with_the_day_is_no_order_of_nobody() -> None:
    """An entry filled at the close: its stop expired with the day, and the intent names the stop that came after."""
    world = small()
    origin = {"symbol": "SPY", "created_at": "2013-10-07T13:30:00Z", "order_class": "oto"}
    world.order("i0").update(origin)
    leg = {"id": "b-leg", "client_order_id": "x", "replaced_by": None, "status": "expired", "filled_qty": "0"} | origin
    world.books["orders"].append(leg)
    assert [each for each in check(world.ledger, world.books) if not each.held] == []
    leg["filled_qty"] = "1"
    assert [each.name for each in check(world.ledger, world.books) if not each.held] == ["every_order_has_an_intent"]
    leg |= {"filled_qty": "0", "created_at": "2013-10-08T13:30:00Z"}
    assert [each.name for each in check(world.ledger, world.books) if not each.held] == ["every_order_has_an_intent"]


def test_an_order_of_an_earlier_leg_is_known_by_its_id_alone() -> None:
    """A stop that was placed anew is the next leg of its intent; another order like it is nobody's."""
    world = small()
    before = {
        "id": "b-before", "symbol": "SPY", "client_order_id": "hf-before", "replaced_by": None, "status": "canceled",
        "filled_qty": "0",
    }  # fmt: skip
    world.books["orders"].append(before)
    stop = world.intent("stop-SPY")
    stop.leg = 2
    assert [each.name for each in check(world.ledger, world.books) if not each.held] == ["every_order_has_an_intent"]
    stop.past_order_ids.append("b-before")
    assert [each for each in check(world.ledger, world.books) if not each.held] == []
    world.books["orders"].append(before | {"id": "b-other", "client_order_id": "hf-other"})
    assert [each.name for each in check(world.ledger, world.books) if not each.held] == ["every_order_has_an_intent"]


def test_what_a_part_is_sold_of_needs_a_stop_for_the_rest_alone() -> None:
    """Invariant 7 (SY-2)."""
    world = small()
    held = Decimal(world.ledger.positions[0].quantity.value)
    world.ledger.positions[0].stop_quantity.value = str(held - 10)
    assert "every_position_has_a_stop" in [each.name for each in check(world.ledger, None) if not each.held]
    world.add_order("part", Trade("SPY", -10, Decimal(160)), pb.PURPOSE_REDUCE, pb.INTENT_STATE_ACKED)
    assert "every_position_has_a_stop" not in [each.name for each in check(world.ledger, None) if not each.held]


def test_many_offenders_are_told_in_one_line() -> None:
    world = World([Trade("SPY", 1, Decimal(1)) for _ in range(9)])
    for intent in world.ledger.intents:
        intent.attempts = MAX_SENDS + 1
    (found,) = [each for each in check(world.ledger, None) if each.name == "sends_within_limit"]
    assert found.detail.endswith("and 5 more")
