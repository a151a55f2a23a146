"""The one door to the broker: after a 401 nothing goes through it until the credentials are cleared (invariant 5)."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal

from holdfast_runtime.errors import AskBroker, Retry
from holdfast_runtime.ports.venue import (
    Broker,
    BrokerAccount,
    BrokerAsset,
    BrokerClock,
    BrokerOrder,
    BrokerPosition,
    FeeActivity,
    FillActivity,
    NotSent,
    OrderRefused,
    OrderRequest,
    StreamDown,
    StreamUp,
    TimeInForce,
    TradeUpdate,
    Unauthorised,
    Unreadable,
)

STEPS = ("Give the account's new key and secret.", "Clear the halt of kind `credentials` in admin.")

NO_GOOD_ANSWER = (OrderRefused, NotSent, AskBroker, Retry)
"""What a cancel or a replacement may meet short of refused credentials: a look-up tells what became of it."""


class GuardedBroker:
    """A Broker that shuts itself at the first Unauthorised. `on_refused` is told once, before the error goes on."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.shut = False
        self.on_refused: Callable[[], None] = lambda: None

    def vouch_for_credentials(self) -> None:
        """A person says that the credentials are good: calls go through again."""
        self._broker.vouch_for_credentials()
        self.shut = False

    def close(self) -> None:
        """A credentials halt stands in the ledger: nothing goes through."""
        self.shut = True

    @contextmanager
    def _door(self) -> Iterator[Broker]:
        if self.shut:
            raise Unauthorised("the broker refused the credentials: no call until they change", steps=STEPS)
        try:
            yield self._broker
        except Unauthorised:
            if not self.shut:
                self.shut = True
                self.on_refused()
            raise

    async def submit_order(
        self, order: OrderRequest, *, last_write_at_secs: float, reducing: bool = False
    ) -> BrokerOrder:
        with self._door() as broker:
            return await broker.submit_order(order, last_write_at_secs=last_write_at_secs, reducing=reducing)

    async def cancel_order(self, order_id: str) -> None:
        with self._door() as broker:
            await broker.cancel_order(order_id)

    async def replace_order(
        self,
        order_id: str,
        *,
        client_order_id: str,
        quantity: Decimal | None = None,
        stop_price: Decimal | None = None,
        time_in_force: TimeInForce | None = None,
    ) -> BrokerOrder:
        with self._door() as broker:
            return await broker.replace_order(
                order_id,
                client_order_id=client_order_id,
                quantity=quantity,
                stop_price=stop_price,
                time_in_force=time_in_force,
            )

    async def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        with self._door() as broker:
            return await broker.order_by_client_id(client_order_id)

    async def order(self, order_id: str) -> BrokerOrder | None:
        with self._door() as broker:
            return await broker.order(order_id)

    async def orders(self, *, open_only: bool, since: datetime | None = None) -> list[BrokerOrder]:
        with self._door() as broker:
            return await broker.orders(open_only=open_only, since=since)

    async def positions(self) -> list[BrokerPosition]:
        with self._door() as broker:
            return await broker.positions()

    async def account(self) -> BrokerAccount:
        with self._door() as broker:
            return await broker.account()

    async def asset(self, symbol: str) -> BrokerAsset | None:
        with self._door() as broker:
            return await broker.asset(symbol)

    async def clock(self) -> BrokerClock:
        with self._door() as broker:
            return await broker.clock()

    async def fills(self, *, since: datetime | None) -> list[FillActivity]:
        with self._door() as broker:
            return await broker.fills(since=since)

    async def fees(self, *, since: datetime | None) -> list[FeeActivity]:
        with self._door() as broker:
            return await broker.fees(since=since)

    async def updates(self) -> AsyncIterator[TradeUpdate | StreamUp | StreamDown | Unreadable]:
        with self._door() as broker:
            async for item in broker.updates():
                yield item
