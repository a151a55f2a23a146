"""When comparisons happen, in market time."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast_core.sessions import ROUND_THE_CLOCK, xnys
from holdfast_reconciliation.domain.schedule import Cadence, next_round

CADENCE = Cadence(interval=timedelta(seconds=30), closed_interval=timedelta(seconds=900))
OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
CLOSE = datetime(2013, 10, 7, 20, 0, tzinfo=UTC)


def rounds(start, end, calendars):
    found = [start]
    while found[-1] < end:
        found.append(next_round(found[-1], CADENCE, calendars))
    return found[1:]


def test_in_session_it_is_every_thirty_seconds_beside_the_minutes_on_which_fills_arrive():
    found = rounds(OPEN + timedelta(hours=1, seconds=1), OPEN + timedelta(hours=1, minutes=2), [xnys()])
    assert [(each.minute, each.second) for each in found] == [(30, 15), (30, 45), (31, 15), (31, 45), (32, 15)]


def test_the_first_entry_of_a_session_finds_a_verdict_that_is_young():
    """Entries need one younger than 90 s at 09:30."""
    found = rounds(OPEN - timedelta(hours=3), OPEN, [xnys()])
    assert max(each for each in found if each <= OPEN) == OPEN - timedelta(seconds=15)


def test_out_of_session_it_is_every_fifteen_minutes_and_once_right_after_the_close():
    found = rounds(CLOSE - timedelta(seconds=40), CLOSE + timedelta(hours=1), [xnys()])
    offsets = [(each - CLOSE).total_seconds() for each in found]
    assert offsets == [-15, 15, 915, 1815, 2715, 3615]


def test_a_book_round_the_clock_is_compared_round_the_clock():
    """BK-1."""
    weekend = datetime(2013, 10, 12, 15, 0, tzinfo=UTC)
    assert next_round(weekend, CADENCE, [xnys(), ROUND_THE_CLOCK]) - weekend <= timedelta(seconds=30)


@pytest.mark.parametrize("hours", range(0, 24 * 7, 5))
def test_the_next_round_is_always_later_and_never_farther_than_the_longest_interval(hours):
    now = OPEN + timedelta(hours=hours, seconds=hours)
    due = next_round(now, CADENCE, [xnys()])
    assert now < due <= now + CADENCE.closed_interval
