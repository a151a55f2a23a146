"""Indicators: simple moving average and relative strength, by their textbook definitions.

The one place of the domain where floats are right: an indicator is a statistic, never an amount. Both give the values
of TA-Lib (a test compares). None means that there are not enough values yet: never a number made of too few.
"""

import math
from collections import deque
from collections.abc import Sequence


class Sma:
    """Simple moving average of the last `period` values, one value after the other.

    The sum is taken anew over the window: a running sum keeps rounding errors of values that have long left it, so
    that two starts would differ in the last digit.
    """

    def __init__(self, period: int) -> None:
        if period < 1:
            raise ValueError(f"period {period}: at least 1")
        self.period = period
        self._values: deque[float] = deque(maxlen=period)

    @property
    def value(self) -> float | None:
        """The average; None before `period` values."""
        return math.fsum(self._values) / self.period if len(self._values) == self.period else None

    def update(self, value: float) -> float | None:
        """Takes the next value in and returns the average."""
        self._values.append(value)
        return self.value


class Rsi:
    """Relative strength index by Wilder, 0 to 100: the first average is a plain mean of `period` changes, each later
    one moves by 1/period. Without any change it is 0, as in TA-Lib."""

    def __init__(self, period: int) -> None:
        if period < 2:
            raise ValueError(f"period {period}: at least 2")
        self.period = period
        self._previous: float | None = None
        self._changes = 0
        self._gain = 0.0
        self._loss = 0.0

    @property
    def value(self) -> float | None:
        """The index; None before `period` + 1 values."""
        if self._changes < self.period:
            return None
        total = self._gain + self._loss
        return 100.0 * self._gain / total if total else 0.0

    def update(self, value: float) -> float | None:
        """Takes the next value in and returns the index."""
        if self._previous is not None:
            self._take(value - self._previous)
        self._previous = value
        return self.value

    def _take(self, change: float) -> None:
        gain, loss = max(change, 0.0), max(-change, 0.0)
        self._changes += 1
        if self._changes <= self.period:
            self._gain += gain / self.period
            self._loss += loss / self.period
        else:
            self._gain = (self._gain * (self.period - 1) + gain) / self.period
            self._loss = (self._loss * (self.period - 1) + loss) / self.period


def sma(values: Sequence[float], period: int) -> float | None:
    """Average of the last `period` values; None where there are fewer."""
    if period < 1:
        raise ValueError(f"period {period}: at least 1")
    return math.fsum(values[-period:]) / period if len(values) >= period else None


def rsi(values: Sequence[float], period: int) -> float | None:
    """Wilder's index at the last of `values`. Its smoothing never forgets, so the same values must be given for the
    same result: use a window of fixed length. None where there are fewer than `period` + 1."""
    index = Rsi(period)
    for value in values:
        index.update(value)
    return index.value
