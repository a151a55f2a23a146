"""Fees: the position is what fills and fees make of it, and the P&L is net of them (invariant 6)."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast_execution.domain.positions import Adjustment, Execution, Holding, adjust, apply, fold, notional

COIN = 10**9
DOLLAR = 10**8


def bought(quantity: int, price: int, *, at: int, order: str = "b") -> Execution:
    return Execution(
        broker_order_id=order, cumulative=quantity, quantity=quantity, price=price, buy=True, at=at,
        strategy="coins", book="crypto",
    )  # fmt: skip


def sold(quantity: int, price: int, *, at: int, order: str = "s") -> Execution:
    return Execution(
        broker_order_id=order, cumulative=quantity, quantity=quantity, price=price, buy=False, at=at,
        strategy="coins", book="crypto",
    )  # fmt: skip


def test_a_fee_in_coins_makes_the_rest_dearer_and_one_in_dollars_is_lost_at_once() -> None:
    """One coin for 100 dollars less 25 basis points; sold for 110 less 0.275 dollars."""
    holding, gained = apply(Holding(), bought(COIN, 100 * COIN, at=1))
    assert gained == 0
    holding = adjust(holding, Adjustment(quantity=-COIN // 400, cash=0, at=1, adjustment_id="f1"))
    assert (holding.quantity, holding.cost, holding.realised) == (COIN * 399 // 400, 100 * DOLLAR, 0)
    holding, gained = apply(holding, sold(holding.quantity, 110 * COIN, at=2))
    holding = adjust(holding, Adjustment(quantity=0, cash=-DOLLAR * 275 // 1000, at=2, adjustment_id="f2"))
    assert holding.quantity == holding.cost == 0
    assert holding.realised == Decimal("9.725") * DOLLAR - Decimal("0.275") * DOLLAR
    assert holding.opened_at is None


EVENTS = st.lists(
    st.tuples(st.integers(1, 10**10), st.integers(1, 10**13), st.booleans(), st.integers(0, 10**6)), max_size=8
)


@given(EVENTS, st.randoms(use_true_random=False))
@settings(print_blob=True)
def test_fees_count_the_same_in_whatever_order_they_come(
    rows: list[tuple[int, int, bool, int]], chance: object
) -> None:
    """Cash is what was realised less what the rest has cost, to the last unit, and the order of arrival is nothing."""
    events: list[Execution | Adjustment] = []
    held = cash = 0
    for number, (quantity, price, buys, fee) in enumerate(rows):
        if buys or held < quantity:
            events.append(bought(quantity, price, at=number, order=f"o{number}"))
            coins = min(fee, quantity - 1)
            events.append(Adjustment(quantity=-coins, cash=0, at=number, adjustment_id=f"f{number}"))
            held += quantity - coins
            cash -= notional(quantity, price)
        else:
            events.append(sold(quantity, price, at=number, order=f"o{number}"))
            events.append(Adjustment(quantity=0, cash=-fee, at=number, adjustment_id=f"f{number}"))
            held -= quantity
            cash += notional(quantity, price) - fee
    in_order, realised = fold(events)
    chance.shuffle(events)  # type: ignore[attr-defined]  # hypothesis gives a Random
    assert fold(events) == (in_order, realised)
    assert in_order.quantity == held
    assert cash == in_order.realised - in_order.cost
