"""NautilusTrader: its event-driven engine, market orders, logging off."""

from decimal import Decimal
from typing import Any

import bars
import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, RiskEngineConfig, StrategyConfig
from nautilus_trader.indicators import ExponentialMovingAverage
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Venue
from nautilus_trader.model.objects import Money
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy


class EmaCrossConfig(StrategyConfig, frozen=True):
    instrument_id: InstrumentId
    bar_type: BarType
    band_bps: float


class EmaCross(Strategy):
    def __init__(self, config: EmaCrossConfig) -> None:
        super().__init__(config)
        self.fast = ExponentialMovingAverage(bars.FAST)
        self.slow = ExponentialMovingAverage(bars.SLOW)
        self.orders = 0

    def on_start(self) -> None:
        self.instrument = self.cache.instrument(self.config.instrument_id)
        self.register_indicator_for_bars(self.config.bar_type, self.fast)
        self.register_indicator_for_bars(self.config.bar_type, self.slow)
        self.subscribe_bars(self.config.bar_type)

    def on_bar(self, bar: Bar) -> None:
        if not self.indicators_initialized():
            return
        distance_bps = (self.fast.value / self.slow.value - 1) * 10_000
        flat = self.portfolio.is_flat(self.config.instrument_id)
        if distance_bps > self.config.band_bps and flat:
            self._order(OrderSide.BUY)
        elif distance_bps < -self.config.band_bps and not flat:
            self._order(OrderSide.SELL)

    def _order(self, side: OrderSide) -> None:
        quantity = self.instrument.make_qty(Decimal(bars.SHARES))
        self.submit_order(self.order_factory.market(self.config.instrument_id, side, quantity))
        self.orders += 1


def prepare(rows: list[bars.Row], band_bps: float) -> Any:
    quiet = LoggingConfig(bypass_logging=True)
    engine = BacktestEngine(BacktestEngineConfig(logging=quiet, risk_engine=RiskEngineConfig(bypass=False)))
    venue = Venue("XNAS")
    cash = [Money(bars.CASH, USD)]
    engine.add_venue(venue, oms_type=OmsType.NETTING, account_type=AccountType.CASH, starting_balances=cash)
    instrument = TestInstrumentProvider.equity(symbol="IBM", venue="XNAS")
    engine.add_instrument(instrument)
    bar_type = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
    frame = pd.DataFrame(
        [row[1:] for row in rows],
        index=pd.DatetimeIndex([row.start for row in rows]),
        columns=["open", "high", "low", "close", "volume"],
    )
    engine.add_data(BarDataWrangler(bar_type, instrument).process(frame))
    config = EmaCrossConfig(instrument_id=instrument.id, bar_type=bar_type, band_bps=band_bps)
    strategy = EmaCross(config)
    engine.add_strategy(strategy)

    def run() -> int:
        engine.run()
        return strategy.orders

    return run


if __name__ == "__main__":
    bars.tell(prepare)
