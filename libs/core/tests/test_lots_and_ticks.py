"""Lots and ticks of what is traded (CQ-3, BR-5)."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast_core.instruments import COINS, SHARES, book_of, lot_of

QUANTITIES = st.decimals(min_value=0, max_value=1_000_000, places=12)


@given(QUANTITIES)
@settings(print_blob=True)
def test_what_is_tradable_is_in_the_lot_and_leaves_less_than_a_lot(quantity: Decimal) -> None:
    """Coins in nine decimals from 0.0001 on, shares whole; what is left over is dust."""
    for lot in (COINS, SHARES):
        whole = lot.tradable(quantity)
        assert whole % lot.increment == 0
        assert whole == 0 or whole >= lot.minimum
        assert 0 <= quantity - whole < (lot.increment if whole else lot.minimum)


def test_a_book_has_its_lot_and_a_symbol_its_book() -> None:
    assert (lot_of("crypto"), lot_of("equity")) == (COINS, SHARES)
    assert (book_of("BTC/USD"), book_of("IBM")) == ("crypto", "equity")


def test_dollars_buy_no_more_than_they_are_worth() -> None:
    assert COINS.bought_for(Decimal(8000), Decimal("6827.13")) == Decimal("1.171795468")
    assert SHARES.bought_for(Decimal(8000), Decimal("170")) == 47
    assert COINS.bought_for(Decimal("0.5"), Decimal(6827)) == 0, "below the smallest order"
    assert COINS.bought_for(Decimal(-1), Decimal(6827)) == COINS.bought_for(Decimal(1), Decimal(0)) == 0
