"""Sales of parts of positions are judged: what leaves is held and not for sale already, the rest is protected when it
leaves and soon after, and each is one order at most (SY-2; order protocol, invariants 1, 7 and 8)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_exchange.orders import Order, Side, Status
from holdfast_simulation.world.venue import VenueServer

REQUIREMENT = "SY-2"
PROTECTED_WITHIN_SECS = 5.0
QUIET_SECS = 12.0
"""After the last fault: from then on the bound holds to the second."""
ZERO = Decimal(0)


@dataclass(slots=True)
class PartJudge:
    """`broken` says what did not hold, each once."""

    server: VenueServer
    foreign: Collection[str]
    """Symbols in which somebody else has traded."""
    quiet_from_secs: float
    broken: list[str] = field(default_factory=list)
    sold: set[str] = field(default_factory=set)
    """Client order ids of parts of which something was sold."""
    _names: dict[str, str] = field(default_factory=dict)
    """By signal: the one client order id under which its part was sent."""
    _begun_secs: dict[str, float] = field(default_factory=dict)
    """By symbol: when a part of it was last wished for."""

    def told(self, part: execution.Intent, *, before: int | None, now_secs: float) -> None:
        """The ledger tells of the sale of a part; `before`: its state until now."""
        if before is None:
            self._begun_secs[part.symbol] = now_secs
        if Decimal(part.filled_quantity.value or 0):
            self.sold.add(part.client_order_id)
        if part.state == execution.INTENT_STATE_SENDING and before != part.state:
            self._leaves(part)

    def look(self, bare_secs: Mapping[str, float], now_secs: float) -> None:
        """`bare_secs`: by symbol, since when something is held without as much for sale."""
        for symbol, since_secs in bare_secs.items():
            begun_secs = self._begun_secs.get(symbol)
            if begun_secs is None or symbol in self.foreign:
                continue
            if since_secs >= max(begun_secs, self.quiet_from_secs) and now_secs - since_secs > PROTECTED_WITHIN_SECS:
                self._breaks(f"7: {symbol} is bare since {since_secs:.1f} s, after a part was sold")

    def _leaves(self, part: execution.Intent) -> None:
        if self._names.setdefault(part.signal_id, part.client_order_id) != part.client_order_id:
            self._breaks(f"1: the part of {part.signal_id} is sent under two names")
        if part.attempts > 1 or part.symbol in self.foreign:
            # An earlier POST of it may have arrived.
            return
        position = self.server.exchange.books.positions.get(part.symbol)
        held = position.quantity if position is not None else ZERO
        orders = [each for each in self.server.exchange.orders.values() if each.symbol == part.symbol]
        for_sale = sum((each.remaining for each in orders if _sells(each)), ZERO)
        quantity = Decimal(part.quantity.value)
        if for_sale + quantity > held:
            self._breaks(f"8: {part.intent_id} sells {quantity} of {held}, of which {for_sale} are for sale")
        if for_sale < held - quantity:
            self._breaks(f"7: {part.intent_id} leaves while {for_sale} of the other {held - quantity} are protected")

    def _breaks(self, what: str) -> None:
        line = f"{REQUIREMENT}, invariant {what}"
        if line not in self.broken:
            self.broken.append(line)


def _sells(order: Order) -> bool:
    return order.side is Side.SELL and order.is_open and order.status is not Status.HELD
