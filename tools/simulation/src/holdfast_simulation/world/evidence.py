"""What has left for the broker and what it has said of it: the only grounds on which an outcome may be believed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from holdfast_runtime.ports.venue import BrokerOrder
from holdfast_runtime.secrets import register_secret

CANARY = "canary-7f3aQx09-of-the-brokers-key"
"""Stands in the errors that the broker answers with, as brokers do show a key or a header in theirs: a secret that must
not be found anywhere else (invariant 17)."""
register_secret(CANARY)


@dataclass(frozen=True, slots=True)
class Departure:
    """The first POST of a client order id, as it left."""

    client_order_id: str
    at: datetime
    """By the sender's clock."""
    left_secs: float
    symbol: str
    buy: bool
    quantity: Decimal
    limit_price: Decimal | None


@dataclass(slots=True)
class Evidence:
    """Kept by client order id. Seconds are virtual."""

    departures: dict[str, Departure] = field(default_factory=dict)
    left_secs: dict[str, float] = field(default_factory=dict)
    """When its newest POST left, arrived or not."""
    refused: set[str] = field(default_factory=set)
    """Of which a POST was answered with a refusal."""
    absent_secs: dict[str, float] = field(default_factory=dict)
    """When it was last asked for by its id and not found."""
    on_departure: Callable[[Departure], None] = lambda _: None
    """Told of the first POST of each."""
    on_post: Callable[[str], None] = lambda _: None
    """Told of every POST, arrived or not."""
    lists: list[tuple[float, frozenset[str]]] = field(default_factory=list)
    """The lists of all orders that were read."""

    def leaves(self, departure: Departure, now_secs: float) -> None:
        """A POST is on its way."""
        self.left_secs[departure.client_order_id] = now_secs
        self.on_post(departure.client_order_id)
        if departure.client_order_id not in self.departures:
            self.departures[departure.client_order_id] = departure
            self.on_departure(departure)

    def listed(self, orders: list[BrokerOrder], now_secs: float) -> None:
        """A list of all orders was read."""
        self.lists.append((now_secs, frozenset(order.client_order_id for order in orders)))

    def proven_absent(self, client_order_id: str, after_secs: float) -> bool:
        """Not found by its id, and not in a list of all orders, both read later than `after_secs`."""
        by_id = self.absent_secs.get(client_order_id, -1.0) >= after_secs
        return by_id and any(at_secs >= after_secs and client_order_id not in listed for at_secs, listed in self.lists)
