"""Whether the broker's market is open, whatever our sessions say: an early close that no calendar knew (TL-3)."""

from datetime import datetime, timedelta

import structlog

from holdfast_execution.books import Books
from holdfast_execution.guard import NO_GOOD_ANSWER
from holdfast_runtime.ports.venue import Broker

CLOSED_AT_LEAST, CLOSED_AT_MOST = timedelta(seconds=10), timedelta(minutes=15)
"""A broker whose market is closed is asked again at its next open, within these bounds."""

log = structlog.get_logger()


class BrokerHours:
    """Asks the broker's clock once for each sale that is to begin, and not again before the instant it named."""

    def __init__(self, books: Books, broker: Broker) -> None:
        self._books = books
        self._broker = broker
        self._closed_until: dict[str, datetime] = {}

    async def closed_until(self, symbol: str) -> datetime | None:
        """When to ask again for a sale of `symbol`; None where it may begin.

        Without an answer it may: the sale itself will tell.
        """
        now = self._books.now
        ask_at = self._closed_until.pop(symbol, now)
        if ask_at <= now:
            try:
                clock = await self._broker.clock()
            except NO_GOOD_ANSWER as error:
                log.warning("exit.clock_unknown", symbol=symbol, error=str(error))
                return None
            if clock.is_open:
                return None
            log.warning("exit.waits_for_open", symbol=symbol, opens=clock.next_open.isoformat())
            ask_at = min(max(clock.next_open, now + CLOSED_AT_LEAST), now + CLOSED_AT_MOST)
        self._closed_until[symbol] = ask_at
        return ask_at
