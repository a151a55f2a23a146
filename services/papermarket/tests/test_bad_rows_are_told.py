"""Bad rows of a recording: told on the status page, never shown to anybody and never traded (BS-8, TS-3)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import polars as pl

from holdfast_exchange import recording
from holdfast_exchange.orders import NewOrder, OrderType, Side, TimeInForce
from holdfast_papermarket.embedded import embedded

OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
GOOD = {"symbol": "SPY", "open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 5_000}


def recorded(folder: Path) -> recording.Recording:
    """The second minute crossed its own range, the third has no price: only the first and the fourth are facts."""
    changes: list[dict[str, Any]] = [{}, {"high": 1.0}, {"close": float("nan")}, {"open": 10.5}]
    rows = [GOOD | {"ts": OPEN + MINUTE * number} | change for number, change in enumerate(changes)]
    frame = pl.DataFrame(rows, schema_overrides={"ts": pl.Datetime("ms", "UTC")})
    frame.write_parquet(folder / "bars_1m.parquet")
    return recording.load(folder)


async def test_bad_rows_are_told_and_nobody_trades_on_them(tmp_path: Path) -> None:
    async with embedded(recorded(tmp_path), tmp_path / "state", start="2013-10-07", end="2013-10-07") as market:
        market.step_to(OPEN + MINUTE)
        buy = NewOrder(
            symbol="SPY",
            side=Side.BUY,
            quantity=Decimal(1),
            type=OrderType.MARKET,
            time_in_force=TimeInForce.DAY,
        )
        order = market.venue.submit(buy)
        market.step_to(OPEN + MINUTE * 3)
        waiting = market.venue.exchange.order(order.id)
        market.step_to(OPEN + MINUTE * 4)
        filled = market.venue.exchange.order(order.id)
        keys = {"APCA-API-KEY-ID": market.keys.key, "APCA-API-SECRET-KEY": market.keys.secret}
        async with httpx.AsyncClient(base_url=market.url, headers=keys, timeout=30) as client:
            status = (await client.get("/papermarket/v1/status")).json()
            query = {
                "symbols": "SPY",
                "timeframe": "1Min",
                "start": "2013-10-07T13:30:00Z",
                "end": "2013-10-07T13:40:00Z",
            }
            shown = (await client.get("/v2/stocks/bars", params=query)).json()
    assert waiting.filled_quantity == 0, "no minute that could be believed"
    assert filled.filled_quantity == 1
    assert filled.filled_at == OPEN + MINUTE * 4
    assert [bar["t"] for bar in shown["bars"]["SPY"]] == ["2013-10-07T13:30:00Z", "2013-10-07T13:33:00Z"]
    told = status["recording"]
    assert told["quarantined"]["rules"] == {"HIGH_BELOW_LOW": 1, "VALUE_NOT_FINITE": 1}
    assert told["quarantined"]["first"][0] == {"file": "bars_1m.parquet", "row": 1, "reason": "HIGH_BELOW_LOW"}
    assert told["files"][0]["missing"] == 388
