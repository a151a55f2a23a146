"""Every order of the account, by id and by client order id, with the ids that the venue gives out.

Ids come from the run's id and a count alone: the same commands give the same ids (TS-3).
"""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from holdfast_exchange.orders import Order, Status, Update

NAMESPACE = UUID("6f1d2d9e-52a4-5b51-9d7a-0f5d0a5c7e11")
_ENDINGS = {
    Status.CANCELED: ("canceled", "canceled_at"),
    Status.EXPIRED: ("expired", "expired_at"),
    Status.REPLACED: ("replaced", "replaced_at"),
}


class Blotter:
    """Orders in order of acceptance."""

    def __init__(self, run_id: str) -> None:
        self.orders: dict[str, Order] = {}
        """Every order ever."""
        self.namespace = uuid5(NAMESPACE, run_id)
        self.executions = 0
        self._open: dict[str, None] = {}
        self._by_client_id: dict[str, str] = {}

    def next_order_id(self) -> str:
        """The id of the next order that is put."""
        return str(uuid5(self.namespace, f"order/{self.next_sequence()}"))

    def next_sequence(self) -> int:
        return len(self.orders) + 1

    def next_client_order_id(self) -> str:
        """For an order that came without one."""
        return str(uuid5(self.namespace, f"client/{self.next_sequence()}"))

    def next_execution_id(self) -> str:
        """Ids of executions ascend, so that activities of one instant are in their order."""
        self.executions += 1
        return self.activity_id(self.executions, 0)

    def activity_id(self, executions: int, since: int) -> str:
        """The id of what was booked after so many executions, and so many other bookings since the last of them."""
        chance = str(uuid5(self.namespace, f"execution/{executions}/{since}"))
        return f"{executions:08x}-{since:04x}{chance[13:]}"

    def put(self, order: Order) -> Order:
        """Keeps the newest state of an order."""
        self.orders[order.id] = order
        self._by_client_id[order.client_order_id] = order.id
        if order.is_open:
            self._open[order.id] = None
        else:
            self._open.pop(order.id, None)
        return order

    def end(self, order: Order, status: Status, at: datetime, **changes: Any) -> Update:
        """Puts `order` into a terminal state at `at`, and tells so."""
        event, stamp = _ENDINGS[status]
        changes[stamp] = at
        ended = self.put(replace(order, status=status, updated_at=at, **changes))
        return Update(event=event, order=ended, at=at)

    def open(self) -> list[Order]:
        """Orders that are not terminal, in order of acceptance."""
        return [self.orders[order_id] for order_id in self._open]

    def by_client_id(self, client_order_id: str) -> Order | None:
        """The newest order with that client order id, live or not."""
        order_id = self._by_client_id.get(client_order_id)
        return None if order_id is None else self.orders[order_id]
