"""Crossing of two simple moving averages on minute bars, with a hysteresis band against jitter (TL-8)."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Annotated

from pydantic import Field, model_validator

from holdfast_core.indicators import sma
from holdfast_signal.strategy import Desire, Strategy, StrategyParameters, Window, Wish

BASIS_POINTS = 10_000


class SmaCrossoverParameters(StrategyParameters):
    """Periods in minutes, the band in basis points of the slow average."""

    fast: int = Field(default=10, ge=2, le=199)
    slow: int = Field(default=30, ge=3, le=200)
    band_bps: float = Field(default=5.0, ge=0, le=1_000)
    target_weight: Annotated[Decimal, Field(gt=0, le=1)] = Decimal(1)

    @model_validator(mode="after")
    def _fast_is_faster(self) -> "SmaCrossoverParameters":
        if self.fast >= self.slow:
            raise ValueError(f"fast {self.fast} must be below slow {self.slow}")
        return self


class SmaCrossover(Strategy):
    """Long while the fast average is above the slow one.

    The side changes only when the averages are further apart than the band, so that noise around the crossing gives
    one signal. The side is unknown at the open and becomes known at the first bar outside the band, which is a signal
    too: it depends on the session's own bars and on windows of fixed length, so a restart finds the same one.
    """

    Parameters = SmaCrossoverParameters
    parameters: SmaCrossoverParameters

    def __init__(self, symbols: tuple[str, ...], parameters: SmaCrossoverParameters) -> None:
        super().__init__(symbols, parameters)
        self._long: dict[str, bool] = {}

    @property
    def lookback(self) -> int:
        return self.parameters.slow

    def on_bar(self, window: Window) -> Desire | None:
        fast, slow = self._averages(window.closes)
        long = self._side(fast, slow)
        if long is None or self._long.get(window.symbol) == long:
            return None
        self._long[window.symbol] = long
        return Desire(
            symbol=window.symbol,
            wish=Wish.ENTER_LONG if long else Wish.EXIT_LONG,
            target_weight=self.parameters.target_weight,
            features={"sma_fast": fast, "sma_slow": slow, "distance_bps": _distance_bps(fast, slow)},
        )

    def speaks_at(self, closes: Sequence[float], first: int) -> Iterator[int]:
        known = None
        for place in range(first, len(closes)):
            long = self._side(*self._averages(closes[place + 1 - self.lookback : place + 1]))
            if long is not None and long != known:
                known = long
                yield place

    def _averages(self, closes: Sequence[float]) -> tuple[float, float]:
        """Of a whole window, in dollars: the fast one and the slow one."""
        fast, slow = sma(closes, self.parameters.fast), sma(closes, self.parameters.slow)
        assert fast is not None
        assert slow is not None
        return fast, slow

    def _side(self, fast: float, slow: float) -> bool | None:
        """Whether it is long; None within the band."""
        distance_bps = _distance_bps(fast, slow)
        return None if abs(distance_bps) <= self.parameters.band_bps else distance_bps > 0


def _distance_bps(fast: float, slow: float) -> float:
    """How far the fast average is above the slow one."""
    return (fast - slow) / slow * BASIS_POINTS
