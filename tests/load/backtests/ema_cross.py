"""The strategy of the bench as one of Holdfast: the cross of two exponential averages."""

from collections.abc import Iterator, Sequence

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
            fast, slow = self._after(close, fast, slow)
        self._averages[window.symbol] = fast, slow
        long = self._side(fast, slow)
        if long is None or self._long.get(window.symbol) == long:
            return None
        self._long[window.symbol] = long
        return Desire(symbol=window.symbol, wish=Wish.ENTER_LONG if long else Wish.EXIT_LONG)

    def speaks_at(self, closes: Sequence[float], first: int) -> Iterator[int]:
        begin = first + 1 - self.lookback
        fast = slow = closes[begin] if first < len(closes) else 0.0
        known = None
        for place in range(begin, len(closes)):
            fast, slow = self._after(closes[place], fast, slow)
            if place >= first and (long := self._side(fast, slow)) is not None and long != known:
                known = long
                yield place

    def _after(self, close: float, fast: float, slow: float) -> tuple[float, float]:
        """The averages with one more close."""
        fast += (close - fast) * 2 / (self.parameters.fast + 1)
        slow += (close - slow) * 2 / (self.parameters.slow + 1)
        return fast, slow

    def _side(self, fast: float, slow: float) -> bool | None:
        """Whether it is long; None within the band."""
        distance_bps = (fast / slow - 1) * 10_000
        return None if abs(distance_bps) <= self.parameters.band_bps else distance_bps > 0
