"""What the pure rules see of an order and of a position: little, and without the ledger behind it."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from holdfast_core.instruments import SHARES, Lot
from holdfast_core.money import ZERO


class Role(StrEnum):
    """Why an order exists: the purposes of the contract, by their words."""

    ENTRY = "entry"
    STOP = "stop"
    EXIT = "exit"
    FLATTEN = "flatten"
    REDUCE = "reduce"


class Phase(StrEnum):
    """How far an order is, as far as the rules care."""

    PENDING = "pending"
    """Not sent."""
    UNCERTAIN = "uncertain"
    """SENDING or UNKNOWN: it may or may not rest at the broker."""
    LIVE = "live"
    CANCELLING = "cancelling"
    ENDED = "ended"


class Owner(StrEnum):
    """Who may sell a position: one at a time."""

    STOP = "stop"
    """The resting stop: the owner when nobody else is."""
    EXIT = "exit"
    """A scheduled sale."""
    MONITOR = "monitor"
    """The stop monitor: the broker's stop failed."""
    FLATTEN = "flatten"
    DISPLACEMENT = "displacement"
    """Sold to make room for something better."""


_RANKS = {Owner.FLATTEN: 0, Owner.MONITOR: 1, Owner.STOP: 2, Owner.EXIT: 3, Owner.DISPLACEMENT: 4}


def rank(owner: Owner) -> int:
    """Priority of an exit: flatten, stop (its monitor), scheduled sale, displacement; smaller goes first."""
    return _RANKS[owner]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderView:
    """One order that is not over, or has just ended."""

    intent_id: str
    role: Role
    phase: Phase
    quantity: Decimal
    filled: Decimal
    time_in_force: str
    filled_before: Decimal = ZERO
    """Of what is filled: by orders of the broker that the present one has replaced."""
    stop_price: Decimal | None = None
    owner: Owner | None = None
    """For sales (EXIT, FLATTEN): on whose behalf."""
    dormant: bool = False
    """A protective leg that sleeps until its parent has filled completely: it protects nothing yet."""
    orphan: bool = False
    """A sleeping leg whose parent ended without filling completely: it will never wake."""
    first_fill_at: datetime | None = None
    """Market time of the first fill: a partial entry grows old from here."""
    uncertain_since_secs: float | None = None
    """Monotonic time since which the outcome is not known."""

    @property
    def remaining(self) -> Decimal:
        """Quantity that may still fill."""
        return self.quantity - self.filled

    @property
    def sells_now(self) -> bool:
        """True where the present order has filled in part: its price has been reached."""
        return self.filled > self.filled_before

    @property
    def over(self) -> bool:
        return self.phase is Phase.ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingView:
    """One position of one strategy with every order of its symbol."""

    symbol: str
    strategy: str
    quantity: Decimal
    stop_price: Decimal | None
    owner: Owner
    orders: tuple[OrderView, ...]
    book: str = "equity"
    lot: Lot = SHARES

    @property
    def protectable(self) -> Decimal:
        """What a stop can be about: whole shares, coins down to the smallest order; not what a reduction sells."""
        reducing = sum((order.remaining for order in self.of(Role.REDUCE)), ZERO)
        return self.lot.tradable(max(self.quantity - reducing, ZERO))

    @property
    def unsold(self) -> Decimal:
        """What a stop can be about but for what the broker has taken for sale beside it. Until then a part that is to
        be sold is as bare as any other."""
        taken = sum((order.remaining for order in self.of(Role.REDUCE) if order.phase is Phase.LIVE), ZERO)
        return self.lot.tradable(max(self.quantity - taken, ZERO))

    def is_dust(self, quantity: Decimal) -> bool:
        """True where nobody can sell `quantity`. A fraction of a share can be sold."""
        return self.book == "crypto" and not self.lot.tradable(quantity)

    def of(self, *roles: Role) -> tuple[OrderView, ...]:
        """Its orders of these roles that are not over."""
        return tuple(order for order in self.orders if order.role in roles and not order.over)
