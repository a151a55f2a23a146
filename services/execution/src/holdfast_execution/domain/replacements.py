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


def cut(chain: Sequence[Link]) -> list[int]:
    """What each order of a chain is about, the oldest first. None was ever about more than was left of the one before
    it, whenever its fills become known, and in whatever order; one that was asked for as larger stays as it is."""
    quantities = [chain[0].quantity]
    for older, newer in pairwise(chain):
        left = max(quantities[-1] - older.filled, newer.filled)
        quantities.append(min(newer.quantity, left) if newer.quantity <= older.quantity else newer.quantity)
    return quantities
