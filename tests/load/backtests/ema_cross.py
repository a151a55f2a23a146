"""The strategy of the bench as one of Holdfast: the cross of two exponential averages."""

from pydantic import Field

from holdfast_signal.strategy import Desire, Strategy, StrategyParameters, Window, Wish


class EmaCrossParameters(StrategyParameters):
    fast: int = Field(ge=2)
    slow: int = Field(ge=3)
    band_bps: float = Field(ge=0)


class EmaCross(Strategy):
    """Long while the fast average is above the slow one. The averages begin with the session's first window and follow
    bar by bar from there."""

    Parameters = EmaCrossParameters
    parameters: EmaCrossParameters

    def __init__(self, symbols: tuple[str, ...], parameters: EmaCrossParameters) -> None:
        super().__init__(symbols, parameters)
        self._averages: dict[str, tuple[float, float]] = {}
        self._long: dict[str, bool] = {}

    @property
    def lookback(self) -> int:
        return 2 * self.parameters.slow

    def on_bar(self, window: Window) -> Desire | None:
        known = self._averages.get(window.symbol)
        closes = window.closes if known is None else [float(window.last.close)]
        fast, slow = known or (closes[0], closes[0])
        for close in closes:
            fast += (close - fast) * 2 / (self.parameters.fast + 1)
            slow += (close - slow) * 2 / (self.parameters.slow + 1)
        self._averages[window.symbol] = fast, slow
        distance_bps = (fast / slow - 1) * 10_000
        if abs(distance_bps) <= self.parameters.band_bps or self._long.get(window.symbol) == (distance_bps > 0):
            return None
        self._long[window.symbol] = long = distance_bps > 0
        return Desire(symbol=window.symbol, wish=Wish.ENTER_LONG if long else Wish.EXIT_LONG)
