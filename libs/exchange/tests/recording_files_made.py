"""Small recordings made by hand: Monday 2013-10-07, open 13:30 UTC, close 20:00 UTC."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
CLOSE = datetime(2013, 10, 7, 20, tzinfo=UTC)
MIDNIGHT = datetime(2013, 10, 7, 4, tzinfo=UTC)
"""In New York."""
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
STAMP = pl.Datetime("ms", "UTC")


def bar(start: datetime, symbol: str = "SPY", **changes: Any) -> dict[str, Any]:
    """A good bar; prices and sizes are binary fractions, as a careless writer has them."""
    made = {"symbol": symbol, "ts": start, "open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 5}
    return made | changes


def quote(start: datetime, **changes: Any) -> dict[str, Any]:
    """A quote of 10.0 to 10.1."""
    prices = {f"{side}_{name}": price for side, price in (("bid", 10.0), ("ask", 10.1)) for name in NAMES}
    return {"symbol": "SPY", "ts": start, "bid_size": 1, "ask_size": 1} | prices | changes


NAMES = ("open", "high", "low", "close")


def option(start: datetime, **changes: Any) -> dict[str, Any]:
    """A bar of a call."""
    made = bar(start) | {"underlying": "AAPL", "expiry": (start + 30 * DAY).date(), "right": "call"}
    made["strike"] = Decimal("700.0000")
    del made["symbol"]
    return made | changes


def write(folder: Path, name: str, rows: list[dict[str, Any]], **types: Any) -> Path:
    """Writes `rows` as `<name>.parquet`; gives the folder."""
    pl.DataFrame(rows, schema_overrides={"ts": STAMP} | types).write_parquet(folder / f"{name}.parquet")
    return folder
