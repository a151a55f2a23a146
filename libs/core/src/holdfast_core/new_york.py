"""Days of New York, by which the equity market counts."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")


def new_york_day(at: datetime) -> date:
    """The date in New York at the aware instant `at`."""
    return at.astimezone(NEW_YORK).date()


def new_york_midnight(day: date) -> datetime:
    """When `day` begins in New York, as an instant of UTC."""
    return datetime.combine(day, time(), NEW_YORK).astimezone(UTC)
