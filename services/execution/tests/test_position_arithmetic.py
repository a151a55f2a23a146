"""What fills make of a position, exact to the unit (DI-6, CQ-3, invariant 6)."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast_execution.domain.positions import (
    Execution,
    Holding,
    apply,
    average_price,
    cash_flow,
    divide,
    fold,
    uncovered,
)

SHARE, DOLLAR = 10**9, 10**8


def traded(number: int, *, buy: bool, quantity: int, price: int, at: int = 0) -> Execution:
    return Execution(
        broker_order_id=f"o{number}",
        cumulative=quantity,
        quantity=quantity,
        price=price,
        buy=buy,
        at=at or number,
        strategy="sma",
        book="equity",
    )


trades = st.lists(
    st.tuples(st.booleans(), st.integers(1, 10**13), st.integers(1, 10**13), st.integers(1, 6)), min_size=1, max_size=30
).map(
    lambda rows: [
        traded(number, buy=buy, quantity=quantity, price=price, at=at)
        for number, (buy, quantity, price, at) in enumerate(rows)
    ]
)


@given(trades)
def test_cash_is_what_was_realised_less_what_is_held(made: list[Execution]) -> None:
    holding, realised = fold(made)
    assert sum(cash_flow(each) for each in made) == holding.realised - holding.cost
    assert holding.realised == sum(realised.values())
    assert holding.quantity == sum(each.quantity if each.buy else -each.quantity for each in made)
    assert holding.quantity or not holding.cost


@given(trades, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(made: list[Execution], chance: object) -> None:
    shuffled = list(made)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fold(shuffled) == fold(made)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=8), st.integers(0, 50), st.integers(1, 30))
def test_each_share_of_an_order_is_counted_once(taken: list[tuple[int, int]], start: int, width: int) -> None:
    covered: list[tuple[int, int]] = []
    for low, size in taken:
        covered.extend(uncovered(covered, low, low + size))
    shares = {share for low, high in covered for share in range(low, high)}
    assert len(shares) == sum(high - low for low, high in covered)
    new = uncovered(covered, start, start + width)
    assert {share for low, high in new for share in range(low, high)} == set(range(start, start + width)) - shares


def test_a_sale_realises_against_the_average_cost() -> None:
    holding, _ = apply(Holding(), traded(1, buy=True, quantity=10 * SHARE, price=100 * SHARE))
    holding, _ = apply(holding, traded(2, buy=True, quantity=10 * SHARE, price=110 * SHARE))
    assert average_price(holding.quantity, holding.cost) == 105 * SHARE
    holding, realised = apply(holding, traded(3, buy=False, quantity=5 * SHARE, price=103 * SHARE))
    assert (realised, holding.cost) == (-10 * DOLLAR, 1575 * DOLLAR)


def test_a_sale_of_more_than_is_held_closes_and_opens_short() -> None:
    holding, _ = apply(Holding(), traded(1, buy=True, quantity=10 * SHARE, price=100 * SHARE))
    holding, realised = apply(holding, traded(2, buy=False, quantity=15 * SHARE, price=102 * SHARE))
    assert (holding.quantity, holding.cost, realised) == (-5 * SHARE, -510 * DOLLAR, 20 * DOLLAR)


def test_halves_round_to_even() -> None:
    assert [divide(number, 2) for number in (1, 3, 5, -1, -3)] == [0, 2, 2, 0, -2]
