"""The circuit breaker before one REST server of the venue: while it is open, only reducing orders are tried (BR-8).

Five failures in a row open it: no answer, no connection, or a 5xx. From then on entries and polls are refused at once
instead of waiting for a timeout each, stops, cancels and exits still leave, and now and then one poll asks whether the
venue is back. The first answer of any kind closes it again, by itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.ports.venue import NotSent
from holdfast_runtime.telemetry import metrics
from holdfast_venue.limiter import Priority

FAILURES_TO_OPEN = 5
FIRST_WAIT_SECS = 1.0
MAX_WAIT_SECS = 15.0
SERVER_ERROR = 500

log = structlog.get_logger()


class Breaker:
    """Closed, open, or half open while one poll is asking. Waits are on monotonic time and double up to 15 s."""

    def __init__(self, system: str, clock: MonotonicClock) -> None:
        self._system = system
        self._clock = clock
        self._failures = 0
        self._wait_secs = 0.0
        self._ask_at_secs = 0.0
        self._asking = False
        metrics.VENUE_CIRCUIT_OPEN.labels(system=system).set(0)

    @property
    def is_open(self) -> bool:
        return self._wait_secs > 0

    @property
    def asks_after_secs(self) -> float:
        """Seconds until a poll may ask whether the venue is back."""
        return max(0.0, self._ask_at_secs - self._clock.now_secs())

    @contextmanager
    def admitted(self, priority: Priority) -> Iterator[None]:
        """Around one request. Raises NotSent where it must not leave now."""
        asks = self.is_open and priority is not Priority.PROTECTION
        if asks:
            if priority is Priority.ENTRY or self._asking or self.asks_after_secs > 0:
                raise NotSent(f"the circuit breaker of {self._system} is open: reducing orders only")
            self._asking = True
        try:
            yield
        finally:
            if asks:
                self._asking = False

    def answered(self, status: int) -> None:
        """An HTTP answer came. Below 500 it is the venue itself that speaks, whatever it says."""
        if status >= SERVER_ERROR:
            self.failed(f"HTTP {status}")
            return
        if self.is_open:
            log.info("circuit.closed", system=self._system, failures=self._failures)
            metrics.VENUE_CIRCUIT_OPEN.labels(system=self._system).set(0)
        self._failures, self._wait_secs = 0, 0.0

    def failed(self, reason: str) -> None:
        """No answer came, or none of the venue's own."""
        self._failures += 1
        if self._failures < FAILURES_TO_OPEN:
            return
        if not self.is_open:
            log.error("circuit.opened", system=self._system, failures=self._failures, reason=reason)
            metrics.VENUE_CIRCUIT_OPEN.labels(system=self._system).set(1)
            metrics.VENUE_CIRCUIT_OPENINGS.labels(system=self._system).inc()
        self._wait_secs = min(MAX_WAIT_SECS, self._wait_secs * 2 or FIRST_WAIT_SECS)
        self._ask_at_secs = self._clock.now_secs() + self._wait_secs
