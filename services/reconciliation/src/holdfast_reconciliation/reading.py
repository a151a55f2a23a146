"""Reads both sides: the ledger from execution, the broker by a client of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_reconciliation.domain.comparison import needs_look_up
from holdfast_reconciliation.domain.states import BrokerSide, LedgerSide
from holdfast_runtime.errors import Retry
from holdfast_runtime.ports.calls import ExecutionCalls
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.ports.venue import Broker, BrokerOrder, FeeActivity, FillActivity
from holdfast_runtime.wire import to_timestamp

T = TypeVar("T")

LEDGER_MARGIN = timedelta(minutes=5)
"""The ledger is asked for so much more than the broker: their clocks may differ, and what the broker has just executed
must not look missing because the ledger dates it a moment earlier."""
MAX_LOOK_UPS = 64
"""Orders asked for by id in one round; what is beyond waits for the next one."""
MAX_CHAIN = 5
"""Replacements of one order that are followed."""
BROKER_TRIES = 7
FIRST_BACKOFF_SECS = 0.25
MAX_BACKOFF_SECS = 2.0


class Reader:
    """Both sides, each read complete or not at all."""

    def __init__(self, execution: ExecutionCalls, broker: Broker, clock: MonotonicClock, *, fees: bool = False) -> None:
        """`fees`: a book is traded whose fills cost coins and dollars beside their price."""
        self._execution = execution
        self._broker = broker
        self._clock = clock
        self._with_fees = fees
        self._credentials_halted = False

    async def ledger(self, since: datetime) -> LedgerSide:
        """Everything open, and what has changed since. Raises Retry, Malformed."""
        request = pb.GetLedgerRequest(since=to_timestamp(since - LEDGER_MARGIN))
        return LedgerSide.of(await self._execution.get_ledger(request))

    async def broker(self, fills_since: datetime | None) -> BrokerSide:
        """Account, positions, open orders, and executions since; no executions where that is None.

        Raises Retry after BROKER_TRIES, Unauthorised."""

        async def read() -> BrokerSide:
            account, positions, orders, fills, fees = await asyncio.gather(
                self._broker.account(),
                self._broker.positions(),
                self._broker.orders(open_only=True),
                self._fills(fills_since),
                self._fees(fills_since),
            )
            return BrokerSide.of(account, positions, orders, fills, fees)

        return await self._patiently(read)

    async def heed_clearing(self, since: datetime) -> bool:
        """After a refusal of the credentials: where execution's halt for them stood and is gone, a person has said that
        they are good, and True is returned. Raises as `ledger`."""
        stood, self._credentials_halted = self._credentials_halted, (await self.ledger(since)).credentials_refused
        cleared = stood and not self._credentials_halted
        if cleared:
            self._broker.vouch_for_credentials()
        return cleared

    async def _fills(self, since: datetime | None) -> list[FillActivity]:
        return [] if since is None else await self._broker.fills(since=since)

    async def _fees(self, since: datetime | None) -> list[FeeActivity]:
        """Those stamped since: the ledger is asked for no older ones either."""
        if since is None or not self._with_fees:
            return []
        return [fee for fee in await self._broker.fees(since=since) if fee.at >= since]

    async def with_look_ups(self, ledger: LedgerSide, broker: BrokerSide) -> BrokerSide:
        """`broker`, and every order that is live in the ledger and missing in its list. Raises as `broker`."""
        wanted = needs_look_up(ledger, broker)[:MAX_LOOK_UPS]
        if not wanted:
            return broker

        async def read() -> BrokerSide:
            found: dict[str, BrokerOrder] = {}
            absent: set[str] = set()
            for order_id in wanted:
                order = await self._end_of_chain(order_id, found)
                if order is None:
                    absent.add(order_id)
            return replace(broker, orders={**broker.orders, **found}, absent=frozenset(absent))

        return await self._patiently(read)

    async def _end_of_chain(self, order_id: str, found: dict[str, BrokerOrder]) -> BrokerOrder | None:
        """The order and its replacements, into `found`; None where the broker does not know the first one."""
        first = order = await self._broker.order(order_id)
        for _ in range(MAX_CHAIN):
            if order is None:
                break
            found[order.order_id] = order
            found.update((leg.order_id, leg) for leg in order.legs)
            if not order.replaced_by or order.replaced_by in found:
                break
            order = await self._broker.order(order.replaced_by)
        return first

    async def _patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        """Waits for a short outage of the broker on monotonic time: its restart moves no market time."""
        backoff_secs = FIRST_BACKOFF_SECS
        for _ in range(BROKER_TRIES - 1):
            try:
                return await read()
            except Retry as error:
                await self._clock.sleep(min(max(backoff_secs, error.after_secs), MAX_BACKOFF_SECS))
                backoff_secs *= 2
        return await read()
