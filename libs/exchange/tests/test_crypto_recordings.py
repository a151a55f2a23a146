"""Recordings of crypto pairs: files after `crypto_`, eight decimals, days of UTC, round the clock (TL-3, TS-3)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl

from holdfast_exchange import recording
from holdfast_exchange.assets import AssetClass
from holdfast_exchange.market import Market
from holdfast_exchange.replay import plan

MIDNIGHT = datetime(2018, 4, 7, tzinfo=UTC)
"""A Saturday: equities are closed, pairs are not."""
BAR = {
    "open": Decimal("7424.91000001"),
    "high": Decimal("7500"),
    "low": Decimal(7000),
    "close": Decimal(7100),
    "volume": Decimal("0.00000007"),
}


def write(folder: Path, name: str, symbol: str, starts: list[datetime], kind: pl.DataType) -> None:
    schema = {"ts": pl.Datetime("ms", "UTC")} | dict.fromkeys(BAR, kind)
    rows = [{"symbol": symbol, "ts": start} | BAR for start in starts]
    pl.DataFrame(rows, schema_overrides=schema).write_parquet(folder / name)


def crypto(folder: Path) -> Path:
    minutes = [MIDNIGHT, MIDNIGHT + timedelta(minutes=1439)]
    write(folder, "crypto_bars_1m_days.parquet", "BTC/USD", minutes, pl.Decimal(28, 8))
    write(folder, "crypto_bars_1d.parquet", "BTC/USD", [MIDNIGHT - timedelta(days=1), MIDNIGHT], pl.Decimal(28, 8))
    return folder


def test_coins_keep_eight_decimals_and_every_day_is_a_session(tmp_path: Path) -> None:
    loaded = recording.load(crypto(tmp_path))
    assert loaded.symbols == ("BTC/USD",)
    assert loaded.asset_classes == {AssetClass.CRYPTO}
    assert [bar.end for bar in loaded.minute_bars][-1] == MIDNIGHT + timedelta(days=1)
    assert loaded.minute_bars[0].open == Decimal("7424.91000001")
    assert loaded.minute_bars[0].volume == Decimal("0.00000007")
    assert [bar.end for bar in loaded.daily_bars] == [MIDNIGHT, MIDNIGHT + timedelta(days=1)]
    assert loaded.quarantined == ()


def test_a_crypto_replay_has_every_minute_of_the_day_in_utc(tmp_path: Path) -> None:
    loaded = recording.load(crypto(tmp_path))
    replay = plan(loaded, start="2018-04-07", end="2018-04-07")
    assert (replay.begin, replay.end) == (MIDNIGHT - timedelta(minutes=1), MIDNIGHT + timedelta(days=1))
    assert replay.progress(replay.end)[1] == 1 + 1441
    market = Market(loaded, MIDNIGHT + timedelta(days=1))
    assert market.asset_class("BTC/USD") is AssetClass.CRYPTO
    assert market.calendar("BTC/USD").is_open(MIDNIGHT)
    day = market.day_so_far("BTC/USD")
    assert day is not None
    assert day.start == MIDNIGHT


def test_equities_and_pairs_replay_together(tmp_path: Path) -> None:
    friday = datetime(2018, 4, 6, 13, 30, tzinfo=UTC)
    write(crypto(tmp_path), "bars_1m.parquet", "SPY", [friday], pl.Decimal(18, 4))
    loaded = recording.load(tmp_path)
    assert loaded.asset_classes == {AssetClass.CRYPTO, AssetClass.US_EQUITY}
    replay = plan(loaded, start="2018-04-06", end="2018-04-07")
    assert replay.begin == datetime(2018, 4, 5, 23, 59, tzinfo=UTC)
    assert replay.end == MIDNIGHT + timedelta(days=1)
    only_stocks = recording.load(tmp_path, symbols=("SPY",))
    assert plan(only_stocks, start="2018-04-06", end="2018-04-06").begin == friday - timedelta(minutes=1)
