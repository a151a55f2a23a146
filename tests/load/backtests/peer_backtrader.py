"""backtrader: one event after the other, orders at the next open."""

from typing import Any

import backtrader as bt
import bars
import pandas as pd


class EmaCross(bt.Strategy):  # type: ignore[misc]  # the package has no types
    params = (("band_bps", 0.0),)

    def __init__(self) -> None:
        self.fast = bt.indicators.EMA(self.data.close, period=bars.FAST)
        self.slow = bt.indicators.EMA(self.data.close, period=bars.SLOW)
        self.orders = 0

    def next(self) -> None:
        distance_bps = (self.fast[0] / self.slow[0] - 1) * 10_000
        if distance_bps > self.p.band_bps and not self.position:
            self.buy(size=bars.SHARES)
            self.orders += 1
        elif distance_bps < -self.p.band_bps and self.position:
            self.close()
            self.orders += 1


def prepare(rows: list[bars.Row], band_bps: float) -> Any:
    frame = pd.DataFrame(
        [row[1:] for row in rows],
        index=pd.DatetimeIndex([row.start for row in rows]).tz_localize(None),
        columns=["open", "high", "low", "close", "volume"],
    )
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=frame, timeframe=bt.TimeFrame.Minutes))
    cerebro.addstrategy(EmaCross, band_bps=band_bps)
    cerebro.broker.setcash(bars.CASH)
    return lambda: int(cerebro.run()[0].orders)


if __name__ == "__main__":
    bars.tell(prepare)
