"""When the trades of a strategy fire: exchange time over both DST changes, half days, ids (SQ-13, TL-2, TL-3)."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from holdfast_core.schedules import HOURS, MARKET_CLOSED, SOLD_BEFORE, Firing, Schedule, TradeKind, firings
from holdfast_core.sessions import ROUND_THE_CLOCK, Session, xnys

GRACE = timedelta(minutes=5)


def schedule(*, buys: str = "", sells: str = "", book: str = "equity") -> Schedule:
    times = [tuple(map(time.fromisoformat, each.split())) for each in (buys, sells)]
    return Schedule(book, times[0], times[1], GRACE)


def of_day(day: date, times: Schedule) -> tuple[Firing, ...]:
    session = (xnys() if times.book == "equity" else ROUND_THE_CLOCK).session_of(day)
    assert session is not None
    return firings("clock", times, session)


def utc(day: date, hour: int, minute: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "hour"),
    [
        (date(2013, 3, 8), 14),  # Friday in winter
        (date(2013, 3, 11), 13),  # the Monday after the clocks went forward
        (date(2013, 11, 1), 13),  # Friday in summer
        (date(2013, 11, 4), 14),  # the Monday after they went back
    ],
)
def test_a_time_is_the_exchanges_on_both_sides_of_a_change_of_clocks(day: date, hour: int) -> None:
    """TL-2"""
    buy, sale = of_day(day, schedule(buys="09:35", sells="15:50"))
    assert (buy.kind, buy.planned_at, buy.due_at) == (TradeKind.BUY, utc(day, hour, 35), utc(day, hour, 35))
    assert (sale.kind, sale.planned_at, sale.due_at) == (
        TradeKind.SELL, utc(day, hour + 6, 50), utc(day, hour + 6, 50),
    )  # fmt: skip


def test_a_firing_has_the_same_id_whenever_it_is_met_and_no_other_has_it() -> None:
    """SQ-13, BS-3"""
    times = schedule(buys="09:35 11:00", sells="15:50")
    monday, tuesday = date(2013, 10, 7), date(2013, 10, 8)
    ids = [each.firing_id for day in (monday, tuesday) for each in of_day(day, times)]
    assert ids[0] == "clock.2013-10-07.buy.0935"
    assert len(set(ids)) == 6
    assert [each.firing_id for each in of_day(monday, times)] == ids[:3]


@pytest.mark.parametrize(
    ("planned", "due"),
    [
        ("10:30", (15, 30)),  # long before the close: it stays
        ("12:50", (17, 50)),
        ("12:55", (17, 50)),  # ten minutes before the early close at 13:00, 18:00 UTC
        ("15:50", (17, 50)),
        ("15:57", (17, 57)),  # three minutes before the usual close, three minutes before the early one
    ],
)
def test_before_an_early_close_sales_are_moved_ahead(planned: str, due: tuple[int, int]) -> None:
    """TL-3: the day after Thanksgiving."""
    half_day = date(2013, 11, 29)
    (sale,) = of_day(half_day, schedule(sells=planned))
    assert sale.due_at == utc(half_day, *due)
    assert sale.ends_at == sale.due_at + GRACE
    assert sale.firing_id == f"clock.2013-11-29.sell.{planned.replace(':', '')}"


def test_a_buy_after_an_early_close_or_after_the_sale_that_moved_ahead_is_void() -> None:
    """TL-3: what it bought would stay for the night."""
    half_day = date(2013, 11, 29)
    found = of_day(half_day, schedule(buys="09:35 12:55 14:00", sells="15:50"))
    assert {each.firing_id[-4:]: each.void for each in found} == {
        "0935": "", "1255": SOLD_BEFORE, "1400": MARKET_CLOSED, "1550": "",
    }  # fmt: skip
    full_day = of_day(date(2013, 11, 27), schedule(buys="09:35 12:55 14:00", sells="15:50"))
    assert not any(each.void for each in full_day)


def test_where_the_market_opens_late_buys_before_it_are_void_and_sales_wait_for_it() -> None:
    day = date(2013, 10, 7)
    late = Session(day, utc(day, 16, 0), utc(day, 20, 0))
    found = firings("clock", schedule(buys="09:35", sells="10:00 15:50"), late)
    assert {each.firing_id[-4:]: (each.void, each.due_at) for each in found} == {
        "0935": (MARKET_CLOSED, utc(day, 13, 35)),
        "1000": ("", utc(day, 16, 0)),
        "1550": ("", utc(day, 19, 50)),
    }


def test_a_buy_ends_with_its_grace_and_before_the_next_sale() -> None:
    day = date(2013, 10, 7)
    early, near = (each for each in of_day(day, schedule(buys="09:35 15:48", sells="15:50")) if each.kind == "buy")
    assert early.ends_at == utc(day, 13, 40)
    assert near.ends_at == utc(day, 19, 50)


def test_coins_trade_by_utc_every_day() -> None:
    saturday = date(2018, 4, 7)
    buy, sale = of_day(saturday, schedule(buys="00:05", sells="23:55", book="crypto"))
    assert (buy.due_at, sale.due_at) == (utc(saturday, 0, 5), utc(saturday, 23, 55))
    assert HOURS["crypto"].contain(time(23, 59))
    assert not HOURS["equity"].contain(time(16, 0))
    assert not HOURS["equity"].contain(time(9, 29))
