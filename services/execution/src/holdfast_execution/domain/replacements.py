"""What the orders of a chain are about (order protocol, point 12): one takes the place of the other, and the old one
may fill yet. Pure; quantities are the ledger's units."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Link:
    """One order of a chain, with what it has filled."""

    quantity: int
    filled: int


def cut(chain: Sequence[Link], gained: int = 0) -> list[int]:
    """What each order of a chain is about, the oldest first, where `gained` of what the first has filled is news. That
    is taken off the second, since a replacement's quantity counts what the old order fills; and none was ever about
    more than was left of the one before it, in whatever order fills become known. One that was asked for as larger
    stays as it is."""
    quantities = [chain[0].quantity]
    news = gained
    for older, newer in pairwise(chain):
        left = max(quantities[-1] - older.filled, newer.filled)
        rest = max(newer.quantity - news, newer.filled)
        quantities.append(min(rest, left) if newer.quantity <= older.quantity else newer.quantity)
        news = 0
    return quantities
