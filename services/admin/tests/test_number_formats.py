"""Numbers as people read them: separators, two decimals, a sign beside the colour."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast_admin.domain import formats


@pytest.mark.parametrize(
    ("value", "money", "signed", "tone"),
    [
        ("1234567.891", "1,234,567.89", "+1,234,567.89", "up"),
        ("-12.5", "−12.50", "−12.50", "down"),
        ("0.004", "0.00", "0.00", "flat"),
        ("-0.004", "0.00", "0.00", "flat"),
    ],
)
def test_money_has_separators_two_decimals_and_pnl_a_sign(value: str, money: str, signed: str, tone: str) -> None:
    amount = Decimal(value)
    assert formats.money(amount) == money
    assert formats.signed(amount) == signed
    assert formats.tone(amount) == tone


@pytest.mark.parametrize(("value", "shown"), [("10", "10.00"), ("13.9213", "13.9213"), ("1e3", "1,000.00")])
def test_prices_have_two_to_four_decimals(value: str, shown: str) -> None:
    assert formats.price(Decimal(value)) == shown


def test_percentages_and_quantities() -> None:
    assert formats.percent(Decimal("0.01234"), sign=True) == "+1.23 %"
    assert formats.percent(Decimal("-0.00001"), sign=True) == "0.00 %"
    assert formats.quantity(Decimal("1E+3")) == "1,000"
    assert formats.quantity(Decimal("0.5000")) == "0.5"


def test_times_are_the_exchanges_and_an_unknown_one_is_a_dash() -> None:
    at = datetime(2013, 10, 8, 13, 30, 5, tzinfo=UTC)
    assert formats.day_clock(at) == "Tue 8 Oct 09:30:05"
    assert formats.day_minute(at) == "Tue 8 Oct 09:30"
    assert formats.clock(None) == formats.day_minute(None) == formats.day_clock(formats.NEVER) == "–"
    assert formats.number(at.isoformat()) == "Tue 8 Oct 09:30:05 ET"
    assert formats.number("900") == "900"


def test_durations_show_their_two_largest_units() -> None:
    assert formats.duration(timedelta(days=2, hours=3, minutes=9)) == "2 d 3 h"
    assert formats.duration(timedelta(hours=1, seconds=5)) == "1 h"
    assert formats.duration(timedelta(0)) == "0 s"
