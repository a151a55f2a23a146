"""What detectors measure with: counters read back, what they grew by lately, and how long something has lasted."""

from collections import deque
from collections.abc import Callable, Iterable

from prometheus_client import Counter, Gauge

from holdfast_runtime.ports.clock import MonotonicClock


def total(counter: Counter, **labels: str) -> float:
    """Sum of a counter of this process over everything that has these labels."""
    return sum(
        sample.value
        for metric in counter.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and all(sample.labels.get(key) == value for key, value in labels.items())
    )


def values(gauge: Gauge, label: str) -> dict[str, float]:
    """The present values of a gauge by one label."""
    return {
        sample.labels[label]: sample.value
        for metric in gauge.collect()
        for sample in metric.samples
        if label in sample.labels
    }


class Growth:
    """By how much a count has grown within the last `within_secs`; the count at the beginning is no growth."""

    def __init__(self, read: Callable[[], float], clock: MonotonicClock, *, within_secs: float) -> None:
        self._read = read
        self._clock = clock
        self._within_secs = within_secs
        self._seen: deque[tuple[float, float]] = deque([(clock.now_secs(), read())])

    def __call__(self) -> float:
        now_secs, count = self._clock.now_secs(), self._read()
        # Only changes are kept, so the memory is bounded by them and by the window.
        if count != self._seen[-1][1]:
            self._seen.append((now_secs, count))
        while len(self._seen) > 1 and self._seen[1][0] <= now_secs - self._within_secs:
            self._seen.popleft()
        return count - self._seen[0][1]


class Lasting:
    """For how many seconds a condition has held without a break, as far as the calls saw it."""

    def __init__(self, clock: MonotonicClock) -> None:
        self._clock = clock
        self._since_secs: float | None = None

    def __call__(self, condition: bool) -> float:
        if not condition:
            self._since_secs = None
            return 0.0
        now_secs = self._clock.now_secs()
        if self._since_secs is None:
            self._since_secs = now_secs
        return now_secs - self._since_secs


class Ages:
    """For how many seconds each of several things has been there, as far as the calls saw it."""

    def __init__(self, clock: MonotonicClock) -> None:
        self._clock = clock
        self._since_secs: dict[str, float] = {}

    def __call__(self, present: Iterable[str]) -> dict[str, float]:
        now_secs = self._clock.now_secs()
        self._since_secs = {name: self._since_secs.get(name, now_secs) for name in present}
        return {name: now_secs - since_secs for name, since_secs in self._since_secs.items()}
