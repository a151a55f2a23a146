"""backtesting.py: indicators computed at once, orders at the next open."""

from typing import Any

import bars
import pandas as pd
from backtesting import Backtest, Strategy


def _ema(values: Any, period: int) -> Any:
    return pd.Series(values).ewm(span=period, adjust=False).mean()


class EmaCross(Strategy):
    band_bps = 0.0

    def init(self) -> None:
        self.fast = self.I(_ema, self.data.Close, bars.FAST)
        self.slow = self.I(_ema, self.data.Close, bars.SLOW)

    def next(self) -> None:
        distance_bps = (self.fast[-1] / self.slow[-1] - 1) * 10_000
        if distance_bps > self.band_bps and not self.position:
            self.buy(size=bars.SHARES)
        elif distance_bps < -self.band_bps and self.position:
            self.position.close()


def prepare(rows: list[bars.Row], band_bps: float) -> Any:
    frame = pd.DataFrame(
        [row[1:] for row in rows],
        index=pd.DatetimeIndex([row.start for row in rows]).tz_localize(None),
        columns=["Open", "High", "Low", "Close", "Volume"],
    )
    test = Backtest(frame, EmaCross, cash=bars.CASH, finalize_trades=False)

    def run() -> int:
        found = test.run(band_bps=band_bps)
        return 2 * int(found["# Trades"])

    return run


if __name__ == "__main__":
    bars.tell(prepare)
