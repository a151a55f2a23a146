"""What fills make of a position: average cost, exact, in whole units (invariant 6).

Quantities and prices are integers of 10⁻⁹, cash of 10⁻⁸. Cost is signed like the quantity, so that for the account
`cash = starting cash + realised − cost of everything held` holds to the last unit.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

_CASH_PER_PRODUCT = 10**10
"""Quantity times price is counted in 10⁻¹⁸; cash in 10⁻⁸."""
_BEHIND_ORDERS = "\U0010ffff"
"""Sorts behind every order id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """Shares that changed hands at one price, once."""

    broker_order_id: str
    cumulative: int
    """Filled on the order, these shares included."""
    quantity: int
    """Always positive."""
    price: int
    buy: bool
    at: int
    """Microseconds."""
    strategy: str
    book: str

    @property
    def order_key(self) -> tuple[int, bool, str, int]:
        """The one order in which fills of a symbol count: time, buys first, then order and place in it."""
        return (self.at, not self.buy, self.broker_order_id, self.cumulative)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """What changed a holding without a trade: a fee. Quantity and cash are signed."""

    quantity: int
    cash: int
    at: int
    """Microseconds."""
    adjustment_id: str

    @property
    def order_key(self) -> tuple[int, bool, str, int]:
        """Behind every fill of its instant: a fee is taken of what a fill has brought."""
        return (self.at, True, _BEHIND_ORDERS + self.adjustment_id, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Adjustment):
    """What a person took over of the broker's holding: a quantity that is valued, and the cash that moved with it."""

    price: int
    strategy: str
    book: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A position as its fills make it."""

    strategy: str = ""
    book: str = ""
    quantity: int = 0
    cost: int = 0
    realised: int = 0
    opened_at: int | None = None


def notional(quantity: int, price: int) -> int:
    """Cash units of a quantity at a price, to the nearest unit, halves to even."""
    return divide(quantity * price, _CASH_PER_PRODUCT)


def divide(numerator: int, denominator: int) -> int:
    """Nearest whole number, halves to even; `denominator` is positive."""
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient % 2):
        quotient += 1
    return quotient


def average_price(quantity: int, cost: int) -> int:
    """Price units of the average cost; 0 where nothing is held."""
    return divide(abs(cost) * _CASH_PER_PRODUCT, abs(quantity)) if quantity else 0


def cash_flow(execution: Execution) -> int:
    """What the execution does to the account's cash."""
    amount = notional(execution.quantity, execution.price)
    return -amount if execution.buy else amount


def apply(holding: Holding, execution: Execution) -> tuple[Holding, int]:
    """The holding after the execution, and the P&L that it realised."""
    signed = execution.quantity if execution.buy else -execution.quantity
    paid = -cash_flow(execution)
    if holding.quantity * signed >= 0:
        opened = holding if holding.quantity else _opened(holding, execution)
        return replace(opened, quantity=holding.quantity + signed, cost=holding.cost + paid), 0
    if abs(signed) < abs(holding.quantity):
        cost_out = divide(holding.cost * abs(signed), abs(holding.quantity))
        realised = -paid - cost_out
        rest = replace(
            holding,
            quantity=holding.quantity + signed,
            cost=holding.cost - cost_out,
            realised=holding.realised + realised,
        )
        return rest, realised
    # Closed, and what is left over opens the other way at the same price.
    left = holding.quantity + signed
    cost_left = notional(abs(left), execution.price) * (1 if left > 0 else -1)
    realised = -(paid - cost_left) - holding.cost
    flat = replace(holding, quantity=0, cost=0, realised=holding.realised + realised, opened_at=None)
    if not left:
        return flat, realised
    return replace(_opened(flat, execution), quantity=left, cost=cost_left), realised


def adjust(holding: Holding, adjustment: Adjustment) -> Holding:
    """The holding after a fee. What it took of the quantity makes the rest dearer, what it took of the cash is lost at
    once: so `cash = starting cash + realised − cost` goes on to hold, and P&L is net of fees."""
    quantity = holding.quantity + adjustment.quantity
    lost = holding.cost if not quantity else 0
    return replace(
        holding,
        quantity=quantity,
        cost=holding.cost - lost,
        realised=holding.realised + adjustment.cash - lost,
        opened_at=holding.opened_at if quantity else None,
    )


def take_over(holding: Holding, claim: Claim) -> Holding:
    """The holding after a claim. What it adds costs its price, what it takes away leaves at the average cost; the cash
    that neither explains is a gain or a loss, so that `cash = starting cash + realised − cost` goes on to hold."""
    reduces = holding.quantity * claim.quantity < 0
    closed = min(abs(claim.quantity), abs(holding.quantity)) if reduces else 0
    opened = abs(claim.quantity) - closed
    sign = 1 if claim.quantity > 0 else -1
    cost_out = divide(holding.cost * closed, abs(holding.quantity)) if closed else 0
    cost_in = sign * notional(opened, claim.price)
    rest = replace(
        holding,
        quantity=holding.quantity + sign * closed,
        cost=holding.cost - cost_out,
        realised=holding.realised + claim.cash - cost_out + cost_in,
    )
    if not rest.quantity:
        rest = replace(rest, opened_at=None)
        if opened:
            rest = replace(rest, strategy=claim.strategy, book=claim.book, opened_at=claim.at)
    return replace(rest, quantity=rest.quantity + sign * opened, cost=rest.cost + cost_in)


def fold(events: Iterable[Execution | Adjustment]) -> tuple[Holding, dict[tuple[str, int], int]]:
    """The holding after all of them, in their one order, and the P&L of each execution, by order id and cumulative
    quantity."""
    holding = Holding()
    realised: dict[tuple[str, int], int] = {}
    for event in sorted(events, key=lambda each: each.order_key):
        if isinstance(event, Adjustment):
            holding = take_over(holding, event) if isinstance(event, Claim) else adjust(holding, event)
            continue
        holding, gained = apply(holding, event)
        realised[event.broker_order_id, event.cumulative] = gained
    return holding, realised


def uncovered(covered: Iterable[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """The parts of (start, end] that none of the disjoint intervals covers, in order."""
    gaps: list[tuple[int, int]] = []
    for low, high in sorted(covered):
        if high <= start:
            continue
        if low >= end:
            break
        if low > start:
            gaps.append((start, low))
        start = max(start, high)
    if start < end:
        gaps.append((start, end))
    return gaps


def _opened(holding: Holding, execution: Execution) -> Holding:
    return replace(holding, strategy=execution.strategy, book=execution.book, opened_at=execution.at)
