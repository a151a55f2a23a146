"""Amounts are exact and bounded (CQ-3, DI-6)."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_core.money import (
    MAX_MAGNITUDE,
    UNITS_PER_QUANTITY,
    InexactAmount,
    from_units,
    is_rounded,
    parse_amount,
    to_units,
)

NO_AMOUNTS = (
    "", "12,50", "abc", "NaN", "sNaN", "Infinity", "-inf", "1e999999", "-1e999999", "0e999999", "1e-999999",
    "1" * (MAX_MAGNITUDE + 2), "0." + "0" * 50 + "1", "9" * 1_000_000,
)  # fmt: skip


@pytest.mark.parametrize("text", NO_AMOUNTS, ids=lambda text: text[:20])
def test_what_is_no_amount_is_refused_by_name(text: str) -> None:
    """1e999999 is a Decimal, and stops the arithmetic of whoever multiplies it: it never gets that far."""
    with pytest.raises(InexactAmount, match="price"):
        parse_amount(text, what="price")


@given(st.decimals(-(10**9), 10**9, places=9))
def test_what_the_ledger_keeps_is_read_exactly(value: Decimal) -> None:
    assert parse_amount(format(value, "f")) == value
    assert from_units(to_units(value, UNITS_PER_QUANTITY), UNITS_PER_QUANTITY) == value


def test_averages_of_a_venue_are_read_with_all_their_digits() -> None:
    assert parse_amount("128.45632564856498573498571234") == Decimal("128.45632564856498573498571234")


@pytest.mark.parametrize(
    ("coarse", "exact", "same"),
    [
        ("99.12", "99.1249", True),
        ("99.12", "99.125", True),
        ("99.12", "99.1251", False),
        ("99.1249", "99.12491", True),
        ("99.1249", "99.125", False),
        ("100", "100.004", True),
        ("100", "100.4", False),
        ("1E+2", "100", True),
    ],
)
def test_cash_of_a_broker_is_ours_to_its_last_digit_and_to_the_cent_at_least(
    coarse: str, exact: str, same: bool
) -> None:
    """Invariant 6: no tolerance beyond the broker's own rounding."""
    assert is_rounded(Decimal(coarse), Decimal(exact)) is same
