"""Generates the table of exchange sessions that holdfast_core packages: `python tools/sessions.py`.

The source is the exchange_calendars package, which costs a second to import and is therefore needed at build time only.
A test compares the table with the installed package, so a newer calendar shows up as a failure that names this script.
"""

import sys
from datetime import UTC, date, datetime
from pathlib import Path

import exchange_calendars

FIRST_DAY = date(1998, 1, 1)
LAST_DAY = date(2030, 12, 31)
TABLE = Path(__file__).parent.parent / "libs/core/src/holdfast_core/sessions_xnys.csv"


def rows() -> list[str]:
    """One line a session: `day,open,close`, both in UTC to the minute. New York never trades across midnight UTC."""
    calendar = exchange_calendars.get_calendar("XNYS", start=FIRST_DAY.isoformat(), end=LAST_DAY.isoformat())
    lines = []
    for day, row in calendar.schedule.iterrows():
        opens: datetime = row["open"].to_pydatetime().astimezone(UTC)
        closes: datetime = row["close"].to_pydatetime().astimezone(UTC)
        if not opens.date() == closes.date() == day.date():
            raise ValueError(f"session {day} crosses midnight UTC: the table cannot hold it")
        lines.append(f"{day.date().isoformat()},{opens:%H:%M},{closes:%H:%M}")
    return lines


def table() -> str:
    """The whole file."""
    return "\n".join(["day,open,close", *rows()]) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table())
    sys.stdout.write(f"{TABLE.name}: {len(table().splitlines()) - 1} sessions\n")
