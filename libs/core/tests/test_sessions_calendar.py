"""Sessions: daylight saving, holidays and half days are right to the minute (TL-2, TL-3, PT-7)."""

import importlib.util
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from holdfast_core import sessions

ROOT = Path(__file__).parents[3]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_packaged_table_equals_the_calendar_package():
    spec = importlib.util.spec_from_file_location("sessions_tool", ROOT / "tools/sessions.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.TABLE.read_text() == tool.table(), "run: python tools/sessions.py"


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        ("2013-10-07", "13:30", "20:00"),  # summer time
        ("2013-03-08", "14:30", "21:00"),  # the Friday before the spring change
        ("2013-03-11", "13:30", "20:00"),  # the Monday after it
        ("2013-11-01", "13:30", "20:00"),  # the Friday before the autumn change
        ("2013-11-04", "14:30", "21:00"),  # the Monday after it
        ("2024-03-11", "13:30", "20:00"),
        ("2024-11-04", "14:30", "21:00"),
        ("2013-07-03", "13:30", "17:00"),  # half day before Independence Day
        ("2013-11-29", "14:30", "18:00"),  # half day after Thanksgiving
        ("2024-12-24", "14:30", "18:00"),  # half day before Christmas
    ],
)
def test_opens_and_closes_follow_daylight_saving_and_half_days(day, opens, closes):
    """TL-2, TL-3."""
    session = sessions.session_of(date.fromisoformat(day))
    assert session is not None
    assert (session.open, session.close) == (utc(f"{day}T{opens}"), utc(f"{day}T{closes}"))


@pytest.mark.parametrize(
    "day",
    [
        "2013-10-05",  # Saturday
        "2013-11-28",  # Thanksgiving
        "2012-10-29",  # hurricane Sandy
        "2001-09-11",  # unscheduled
        "2018-12-05",  # day of mourning
        "2022-06-20",  # Juneteenth, observed
        "2025-01-09",  # day of mourning
        "2024-03-29",  # Good Friday
    ],
)
def test_holidays_and_unscheduled_closings_have_no_session(day):
    """TL-3, PT-7."""
    assert sessions.session_of(date.fromisoformat(day)) is None
    noon = utc(f"{day}T17:00")
    assert not sessions.is_open(noon)
    assert sessions.next_open(noon).date() > date.fromisoformat(day)


def test_a_session_is_open_from_its_open_until_just_before_its_close():
    opens, closes = utc("2013-10-07T13:30"), utc("2013-10-07T20:00")
    instant = timedelta(microseconds=1)
    assert not sessions.is_open(opens - instant)
    assert sessions.is_open(opens)
    assert sessions.is_open(closes - instant)
    assert not sessions.is_open(closes)
    assert sessions.session_at(opens) == sessions.Session(date(2013, 10, 7), opens, closes)


def test_next_open_and_close_and_the_previous_session_step_over_a_weekend():
    friday_close = utc("2013-10-11T20:00")
    assert sessions.next_open(friday_close) == utc("2013-10-14T13:30")
    assert sessions.next_close(friday_close) == utc("2013-10-14T20:00")
    assert sessions.previous_session(friday_close).day == date(2013, 10, 11)
    assert sessions.previous_session(friday_close - timedelta(seconds=1)).day == date(2013, 10, 10)
    assert sessions.next_open(utc("2013-10-11T13:30")) == utc("2013-10-14T13:30")


def test_sessions_between_includes_both_days():
    days = [session.day.isoformat() for session in sessions.sessions_between(date(2013, 10, 4), date(2013, 10, 8))]
    assert days == ["2013-10-04", "2013-10-07", "2013-10-08"]


def test_a_day_beyond_the_table_is_refused_and_not_guessed():
    for question in (sessions.is_open, sessions.next_open, sessions.next_close, sessions.previous_session):
        with pytest.raises(sessions.OutsideCalendar):
            question(utc("2031-06-02T15:00"))
    with pytest.raises(sessions.OutsideCalendar):
        sessions.session_of(date(1997, 12, 31))


def test_the_crypto_book_is_always_open():
    calendar = sessions.calendar_of("crypto")
    christmas = utc("2018-12-25T03:17")
    assert calendar.is_open(christmas)
    session = calendar.session_at(christmas)
    assert session == sessions.Session(date(2018, 12, 25), utc("2018-12-25T00:00"), utc("2018-12-26T00:00"))
    assert calendar.next_close(christmas) == utc("2018-12-26T00:00")
    assert calendar.previous_session(christmas).day == date(2018, 12, 24)
    assert len(calendar.sessions_between(date(2018, 12, 24), date(2018, 12, 26))) == 3


def test_an_unknown_book_has_no_calendar():
    with pytest.raises(KeyError):
        sessions.calendar_of("bonds")
